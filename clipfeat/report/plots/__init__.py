"""Pictures of what a benchmark found, one kind a file."""
