"""Encoding of image sources into feature files, and the scikit-learn transformer."""
