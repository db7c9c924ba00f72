"""Labelling: decisions of people in a file, their merge, and the queue of images to label next."""
