"""Whole runs from a config to weights and pictures, the check before them, and comparisons after them."""
