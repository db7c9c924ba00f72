"""Result of a training run, and the names of its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clipfeat.auditing.result import Audit
from clipfeat.embedding.embed_report import EmbedReport
from clipfeat.evaluate import Benchmark, Leaderboard
from clipfeat.model import Model
from clipfeat.prediction.predictions import Predictions
from clipfeat.report.run_folder import OF_TRAINING
from clipfeat.training.recipe import Recipe

MODEL, RECORD, SUMMARY = "model.clipfeat", "train.json", "summary.md"
PREDICTIONS, BENCHMARK, AUDIT = "predictions.csv", OF_TRAINING, "audit"
SUBMISSION = "submission.csv"


@dataclass(frozen=True, eq=False, repr=False)
class Training:
    """Result of `clipfeat.train`.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    recipe : Recipe
        Recipe of the run.
    benchmark : Benchmark
        Cross-validation of the training images.
    board : Leaderboard
        Leaderboard of the cross-validation.
    entry : str
        Classifier or vote that became the model.
    model : Model
        The model, fitted on all training images.
    features : sequence of EmbedReport
        Embedding of the training images, for each encoder and image size.
    audit : Audit, optional
        Audit of the images. None if they cannot be audited.
    test : Predictions, optional
        Predictions of the test images. None without test images.
    test_name : str
        Name of the test images.
    reused : mapping of str to str
        The amount that was reused from an earlier call, by part, such as ``"features"``.
    seconds : mapping of str to float
        Seconds of each phase, by name.
    """

    folder: Path
    recipe: Recipe
    benchmark: Benchmark
    board: Leaderboard
    entry: str
    model: Model
    features: Sequence[EmbedReport]
    audit: Audit | None
    test: Predictions | None
    test_name: str
    reused: Mapping[str, str]
    seconds: Mapping[str, float]

    def __repr__(self) -> str:
        return f"Training({self.recipe.name}: {self.entry} in {self.folder})"
