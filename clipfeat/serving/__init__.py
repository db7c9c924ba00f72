"""Server of verdicts on images."""
