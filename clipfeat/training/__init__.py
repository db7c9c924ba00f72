"""Training in one call: from images to features, a benchmark, a model file and a summary."""
