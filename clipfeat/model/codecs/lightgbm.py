"""Conversion of LightGBM to boosted trees. Only saving imports it."""

from clipfeat.model.codecs.boosting import lightgbm_trees
from clipfeat.model.codecs.codec import Conversion
from clipfeat.zoo.lightgbm import PortableLGBMClassifier

CONVERSION = Conversion(PortableLGBMClassifier, lightgbm_trees)
