"""Application of a model to images: predictions, explanations, robustness, submission files."""
