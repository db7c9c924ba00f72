"""Comparing classifiers on cached features: metrics, and the benchmark run."""

from clipfeat.evaluate.benchmark import Benchmark, benchmark
from clipfeat.evaluate.metrics import METRICS, score

__all__ = ["METRICS", "Benchmark", "benchmark", "score"]
