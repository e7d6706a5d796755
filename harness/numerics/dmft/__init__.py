"""Deep networks: the history of a sampled layer, given back by its response."""
