"""Comparing classifiers on cached features: metrics, and the benchmark run."""

from clipfeat.evaluate.benchmark import benchmark
from clipfeat.evaluate.metrics import METRICS, score
from clipfeat.evaluate.result import Benchmark

__all__ = ["METRICS", "Benchmark", "benchmark", "score"]
