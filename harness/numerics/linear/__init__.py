"""Linear two-layer networks, as moments of their units."""
