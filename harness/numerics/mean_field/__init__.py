"""Two-layer networks at infinite width: hidden units as independent samples."""
