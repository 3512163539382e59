"""The installed plugins and what they bring: found, selected, looked up by name, and described."""
