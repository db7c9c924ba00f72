"""Model files: a fitted classifier with its classes, encoders and scores."""

from clipfeat.model.format import MODEL_NAME
from clipfeat.model.model_file import Model, estimator_bytes, load_model

__all__ = ["MODEL_NAME", "Model", "estimator_bytes", "load_model"]
