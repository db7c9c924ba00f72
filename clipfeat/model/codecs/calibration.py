"""Codec of calibrated classifiers."""

from typing import Any

import numpy as np
from sklearn.calibration import (
    CalibratedClassifierCV,
    _CalibratedClassifier,
    _SigmoidCalibration,
    _TemperatureScaling,
)
from sklearn.isotonic import IsotonicRegression

from clipfeat.model.codecs.codec import Codec
from clipfeat.model.container import DamagedModelError
from clipfeat.model.nodes import NodeReader, NodeWriter, same_classes
from clipfeat.zoo.calibration import GroupCalibratedClassifier
from clipfeat.zoo.fit_options import CALIBRATIONS

METHODS = CALIBRATIONS[1:]


def _write(wrapper: GroupCalibratedClassifier, node: NodeWriter) -> None:
    pairs = wrapper.calibrated_.calibrated_classifiers_
    method = wrapper.calibrated_.method  # differs from wrapper.method if there are few groups
    node.classes(wrapper.classes_)
    node.put("method", method)
    node.children("estimators", [pair.estimator for pair in pairs])
    for number, pair in enumerate(pairs):
        if method == "isotonic":
            curves = pair.calibrators
            node.array(f"lengths/{number}", [len(one.X_thresholds_) for one in curves], "int32")
            for axis in ("X", "y"):
                parts = [getattr(one, f"{axis}_thresholds_") for one in curves]
                node.array(f"{axis}/{number}", np.concatenate(parts))
        elif method == "sigmoid":
            rows = [(one.a_, one.b_) for one in pair.calibrators]
            node.array(f"sigmoids/{number}", rows)
        else:
            node.array(f"temperature/{number}", np.asarray(pair.calibrators[0].beta_))


def _read(node: NodeReader) -> GroupCalibratedClassifier:
    classes, method = node.classes(), node.choice("method", METHODS)
    estimators, codes = node.children("estimators"), np.arange(len(classes))
    same_classes(node, estimators, codes)
    wrapper = GroupCalibratedClassifier(
        estimators[0], method=method, n_splits=max(len(estimators), 2), ensemble=len(estimators) > 1
    )
    wrapper.classes_ = classes
    inner = CalibratedClassifierCV(estimators[0], method=method, ensemble=wrapper.ensemble)
    inner.classes_, inner.n_features_in_ = codes, node.n_features
    inner.calibrated_classifiers_ = [
        _CalibratedClassifier(
            one, _read_calibrators(node, number, method, len(classes)), classes=codes, method=method
        )
        for number, one in enumerate(estimators)
    ]
    wrapper.calibrated_ = inner
    return wrapper


def _read_calibrators(node: NodeReader, number: int, method: str, n_classes: int) -> list[Any]:
    """Read one calibrator per class, or a single one for two classes or for a temperature."""
    n = 1 if n_classes == 2 else n_classes
    if method == "temperature":
        scaling = _TemperatureScaling()
        scaling.beta_ = node.array(f"temperature/{number}", (), least=0)[()]
        return [scaling]
    if method == "sigmoid":
        return [_sigmoid(a, b) for a, b in node.array(f"sigmoids/{number}", (n, 2))]
    lengths = node.array(f"lengths/{number}", (n,), ["int32"], least=1, most=2**31 - 1)
    ends = np.cumsum(lengths, dtype=np.int64)
    x, y = (
        node.array(f"X/{number}", (int(ends[-1]),)),
        node.array(f"y/{number}", (int(ends[-1]),)),
    )
    slices = [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    return [_isotonic(node, x[one], y[one]) for one in slices]


def _sigmoid(a: np.floating, b: np.floating) -> _SigmoidCalibration:
    sigmoid = _SigmoidCalibration()
    sigmoid.a_, sigmoid.b_ = a, b
    return sigmoid


def _isotonic(node: NodeReader, x: Any, y: Any) -> IsotonicRegression:
    if x.dtype != y.dtype or (np.diff(x) <= 0).any() or y.min() < 0 or y.max() > 1:
        raise DamagedModelError(f"{node.path} has an isotonic calibration with invalid thresholds")
    isotonic = IsotonicRegression(out_of_bounds="clip")
    isotonic.X_thresholds_, isotonic.y_thresholds_ = x, y
    isotonic.X_min_, isotonic.X_max_ = x[0], x[-1]
    isotonic.increasing_ = True
    isotonic._build_f(x, y)
    return isotonic


GROUP_CALIBRATED = Codec(GroupCalibratedClassifier, _write, _read)
