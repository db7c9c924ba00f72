"""Audit of images and features: shortcuts, duplicates, label errors and uneven classes."""
