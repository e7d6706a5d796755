"""What cells take: their work in plain counts, and what alike jobs of this machine took."""
