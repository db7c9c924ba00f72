"""Search of a feature file: the nearest images to an image or a text."""
