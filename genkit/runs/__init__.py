"""Whole runs, from a config to weights and pictures, with a check before them and comparisons after them."""
