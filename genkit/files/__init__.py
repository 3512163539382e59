"""Files that are written whole or not at all, Markdown tables, and tensor files."""
