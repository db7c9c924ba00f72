"""Evaluation of classifiers on cached features: metrics, protocols and the benchmark."""

from clipfeat.evaluate.benchmarking import benchmark
from clipfeat.evaluate.comparing import Comparison, compare
from clipfeat.evaluate.external_scores import Scores
from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.metrics import METRICS, score
from clipfeat.evaluate.official_split import OfficialSplit
from clipfeat.evaluate.protocols import (
    FewShot,
    KFold,
    LeaveOneOut,
    Matrix,
    Protocol,
    TrainTest,
)
from clipfeat.evaluate.result import Benchmark

__all__ = [
    "METRICS",
    "Benchmark",
    "Comparison",
    "FewShot",
    "KFold",
    "Leaderboard",
    "LeaveOneOut",
    "Matrix",
    "OfficialSplit",
    "Protocol",
    "Scores",
    "TrainTest",
    "benchmark",
    "compare",
    "score",
]
