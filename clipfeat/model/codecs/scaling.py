"""Codecs of pipelines and of their steps that scale or select features."""

from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from clipfeat.model.codecs.codec import Codec
from clipfeat.model.container import DamagedModelError
from clipfeat.model.nodes import NodeReader, NodeWriter
from clipfeat.zoo.columns import ColumnRange
from clipfeat.zoo.scaling import UnitScaler

PASSTHROUGH = "passthrough"
"""A step of a pipeline that does nothing. It has no node."""


def count_features(estimator: Any) -> int:
    """Return the number of features that a fitted estimator takes."""
    if isinstance(estimator, Pipeline):
        return count_features(next(step for _, step in estimator.steps if step != PASSTHROUGH))
    return int(estimator.n_features_in_)


def _write_pipeline(pipeline: Any, node: NodeWriter) -> None:
    steps = [(name, step) for name, step in pipeline.steps if step != PASSTHROUGH]
    node.put("names", [name for name, _ in steps])
    node.children("steps", [step for _, step in steps])


def _read_pipeline(node: NodeReader) -> Pipeline:
    names, steps = node.names("names"), node.chain("steps")
    if len(names) != len(steps) or any("__" in name for name in names):
        raise DamagedModelError(
            f"{node.path} has {len(steps)} steps, but their names {names} do not match them"
        )
    *transformers, last = steps
    if not all(hasattr(step, "transform") for step in transformers):
        raise DamagedModelError(f"one of the first steps of {node.path} is not a transformer")
    pipeline = Pipeline(list(zip(names, steps, strict=True)))
    if hasattr(last, "_n_features_out"):
        pipeline._n_features_out = last._n_features_out
    return pipeline


def _write_standard(scaler: Any, node: NodeWriter) -> None:
    node.doubles("mean", scaler.mean_)
    node.doubles("scale", scaler.scale_)


def _read_standard(node: NodeReader, scaler: Any) -> Any:
    scaler.mean_ = node.doubles("mean", (node.n_features,))
    scaler.scale_ = node.doubles("scale", (node.n_features,), least=1e-300)
    scaler.var_ = None  # used by fits only
    return scaler


def _write_columns(selector: ColumnRange, node: NodeWriter) -> None:
    node.put("start", int(selector.start))
    node.put("stop", int(selector.stop))


def _read_columns(node: NodeReader) -> ColumnRange:
    start = node.integer("start", 0, node.n_features - 1)
    selector = ColumnRange(start, node.integer("stop", start + 1, node.n_features))
    selector._n_features_out = selector.stop - selector.start
    return selector


PIPELINE = Codec(Pipeline, _write_pipeline, _read_pipeline)
STANDARD_SCALER = Codec(
    StandardScaler, _write_standard, lambda node: _read_standard(node, StandardScaler())
)
UNIT_SCALER = Codec(UnitScaler, _write_standard, lambda node: _read_standard(node, UnitScaler()))
NORMALIZER = Codec(Normalizer, lambda scaler, node: None, lambda node: Normalizer())
COLUMN_RANGE = Codec(ColumnRange, _write_columns, _read_columns)
