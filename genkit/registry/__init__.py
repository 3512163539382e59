"""The registry of installed plugins and their components: discovery, selection, look-up by name, and description."""
