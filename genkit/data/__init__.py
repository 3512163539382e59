"""The data of a run: read from a source, checked, split, and given in batches."""
