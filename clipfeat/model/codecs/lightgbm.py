"""Conversion of LightGBM to boosted trees. This module is imported only when a model is saved."""

from clipfeat.model.codecs.boosting import lightgbm_trees
from clipfeat.model.codecs.codec import Conversion
from clipfeat.zoo.lightgbm import PortableLGBMClassifier

CONVERSION = Conversion(PortableLGBMClassifier, lightgbm_trees)
