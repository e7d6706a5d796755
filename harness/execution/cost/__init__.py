"""Cost of cells: plain counts of their work, and the times of similar jobs on this machine."""
