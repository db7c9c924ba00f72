"""Export of models and features for other programs."""
