"""Gaussian samples with exact moments, and means over windows of a random walk."""
