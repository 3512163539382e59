"""Faster forms of what torch does already, each with a fallback. Internal: it may change with any version of torch."""
