"""Two-layer networks: units as independent samples."""
