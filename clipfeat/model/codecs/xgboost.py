"""Conversion of XGBoost to boosted trees. This module is imported only when a model is saved."""

from clipfeat.model.codecs.boosting import xgboost_trees
from clipfeat.model.codecs.codec import Conversion
from clipfeat.zoo.xgboost import PortableXGBClassifier

CONVERSION = Conversion(PortableXGBClassifier, xgboost_trees)
