"""Round trips of estimators through the nodes of a model file."""

import json
from typing import Any

from clipfeat.model.codecs import decode, encode
from clipfeat.model.codecs.scaling import count_features


def loaded(estimator: Any) -> Any:
    """Encode a fitted estimator, and decode it again."""
    node, arrays = encode(estimator)
    again = decode(json.loads(json.dumps(node)), arrays, count_features(estimator))
    assert not arrays
    return again
