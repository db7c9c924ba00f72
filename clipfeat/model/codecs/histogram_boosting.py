"""Conversion of scikit-learn's histogram gradient boosting to boosted trees.

This module is imported only when a model is saved.
"""

from clipfeat.model.codecs.boosting import histogram_trees
from clipfeat.model.codecs.codec import Conversion
from clipfeat.zoo.histogram_boosting import HistogramBoostingClassifier

CONVERSION = Conversion(HistogramBoostingClassifier, histogram_trees)
