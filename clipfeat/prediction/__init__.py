"""A model applied to images: predictions, explanations, robustness, submissions."""
