"""Conversion of scikit-learn's histogram gradient boosting to trees. Only saving imports it."""

from clipfeat.model.codecs.boosting import histogram_trees
from clipfeat.model.codecs.codec import Conversion
from clipfeat.zoo.histogram_boosting import HistogramBoostingClassifier

CONVERSION = Conversion(HistogramBoostingClassifier, histogram_trees)
