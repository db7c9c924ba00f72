"""Apply a model to images: predictions, explanations, robustness and submission files."""
