"""Data of a run: read from a source, checked, split, and handed out in batches."""
