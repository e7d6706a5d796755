"""Stationary states of stages with decay, with and without temperature."""
