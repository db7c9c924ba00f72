"""Model files: a fitted classifier with its classes, encoders and scores."""

from clipfeat.model.model_file import MODEL_NAME, Model, dump_estimator, load_model

__all__ = ["MODEL_NAME", "Model", "dump_estimator", "load_model"]
