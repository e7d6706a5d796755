"""Activations, their dual activations, and the kernels of lazy networks."""
