"""The model file: a fitted classifier with everything needed to use and check it."""

from clipfeat.model.model_file import MODEL_NAME, Model, dump_estimator, load_model

__all__ = ["MODEL_NAME", "Model", "dump_estimator", "load_model"]
