"""Sources through encoders into feature files, and the encoder as a scikit-learn transformer."""
