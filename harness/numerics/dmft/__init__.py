"""Deep networks: dynamical mean-field theory with sampled layers and their response."""
