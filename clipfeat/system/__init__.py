"""Files, locations, memory, plugins and the Ray connection, for use by every other package."""
