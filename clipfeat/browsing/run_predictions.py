"""Out-of-fold predictions of a benchmark run for the images of a feature file."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipfeat.browsing.data import BrowseData, BrowseFacet
from clipfeat.errors import DataError
from clipfeat.evaluate.result import Benchmark
from clipfeat.features import order_classes
from clipfeat.report.plots.out_of_fold import out_of_fold_predictions
from clipfeat.system.escaping import terminal_text

PREDICTED = "predicted"
OUTCOME = "outcome"
OUTCOMES = ("correct", "wrong", "not tested")
"""Values of the facet `OUTCOME`. A file without a label counts as not tested."""


@dataclass(frozen=True, eq=False)
class BrowsePredictions:
    """Predictions of one classifier, which was not trained on the predicted images.

    Parameters
    ----------
    name : str
        Name of the classifier.
    classes : tuple of str
        The predicted classes.
    p : ndarray of shape (n_files, n_classes)
        Probabilities. NaN for a file without a prediction.
    predicted : ndarray of shape (n_files,), int64
        Index of the predicted class; -1 for a file without a prediction.
    wrong : ndarray of shape (n_files,), bool
        Whether the file has a label, and another class was predicted.
    """

    name: str
    classes: tuple[str, ...]
    p: NDArray[np.float64]
    predicted: NDArray[np.int64]
    wrong: NDArray[np.bool_]

    @property
    def confidence(self) -> NDArray[np.float64]:
        """Probability of the predicted class of each file. NaN without a prediction."""
        of_predicted: NDArray[np.float64] = self.p[np.arange(len(self.p)), self.predicted]
        return of_predicted

    def facets(self, labelled: NDArray[np.bool_]) -> list[BrowseFacet]:
        """Return two facets: the predicted class, and whether it is correct, wrong or not tested.

        Parameters
        ----------
        labelled : ndarray of shape (n_files,), bool
            Whether the label of each file is known.
        """
        without = self.predicted < 0
        values = tuple(map(terminal_text, self.classes)) + OUTCOMES[-1:] * bool(without.any())
        codes = np.where(without, len(self.classes), self.predicted)
        outcome = np.where(without | ~labelled, 2, self.wrong)
        return [
            BrowseFacet(PREDICTED, PREDICTED, values, codes.astype(np.uint16)),
            BrowseFacet(OUTCOME, OUTCOME, OUTCOMES, outcome.astype(np.uint16)),
        ]


def predictions_of(
    data: BrowseData, name: str, classes: tuple[str, ...], p: NDArray[np.float64],
    predicted: NDArray[np.int64] | None = None,
) -> BrowsePredictions:  # fmt: skip
    """Compare probabilities with the labels of the files.

    Parameters
    ----------
    data : BrowseData
        The images.
    name, classes, p
        As in `BrowsePredictions`.
    predicted : ndarray of shape (n_files,), int64, optional
        As in `BrowsePredictions`. By default, the most probable class is predicted.
    """
    tested: NDArray[np.bool_] = ~np.isnan(p[:, 0])
    if predicted is None:
        predicted = np.where(tested, np.where(tested[:, None], p, 0.0).argmax(axis=1), -1)
    code = {label: i for i, label in enumerate(classes)}
    # A class that the classifier does not know is -2, so every prediction for its files is wrong.
    codes = np.array([*(code.get(label, -2) for label in data.features.classes), -1])
    y = codes[data.features.y]
    return BrowsePredictions(name, classes, p, predicted, tested & (y != -1) & (predicted != y))


def predictions_from_run(data: BrowseData, run: Benchmark, name: str) -> BrowsePredictions:
    """Match the out-of-fold predictions of a run with the files, by file and content hash.

    If several trials of the run tested a file, its probabilities are averaged. With decision
    thresholds, the class that most of these trials predict is the prediction.

    Raises
    ------
    DataError
        If the classifier has no predictions, or if none of its images is in the feature file.
    """
    pooled = out_of_fold_predictions(run, name)
    if pooled is None:
        raise DataError(
            f"{name} has no out-of-fold predictions in the run. Choose another classifier or vote"
        )
    # A file may have several rows (views, faces, frames), and the run may have used another of
    # them.
    index_of = {file: i for i, file in enumerate(data.paths.tolist())}
    contents = set(zip(data.rows.files.tolist(), data.rows.keys.tolist(), strict=True))
    files, keys = run.files[pooled.row].tolist(), run.keys[pooled.row].tolist()
    at = np.array(
        [
            index_of[file] if (file, key) in contents else -1
            for file, key in zip(files, keys, strict=True)
        ],
        dtype=np.int64,
    )
    known = np.flatnonzero(at >= 0)
    if not len(known):
        raise DataError(
            "none of the images of the run is in the feature file. Pass the feature file that the "
            "run was computed from"
        )
    rows = at[known]
    total = np.zeros((len(data), len(run.classes)))
    np.add.at(total, rows, pooled.p[known])
    n_trials = np.bincount(rows, minlength=len(data))
    with np.errstate(invalid="ignore"):
        p = total / n_trials[:, None]
    votes = np.zeros_like(total)
    np.add.at(votes, (rows, pooled.y_pred[known]), 1)
    with_thresholds = votes + np.nan_to_num(p) / 2  # the mean probability decides ties only
    ranked = with_thresholds if len(pooled.thresholds) else np.nan_to_num(p)
    predicted = np.where(n_trials > 0, ranked.argmax(axis=1), -1)
    return predictions_of(data, name, run.classes, p, predicted)


def run_entries(run: Benchmark) -> list[str]:
    """Return the classifiers and votes of a run, best first."""
    ranked = [entry for entry in run.leaderboard().entries if entry in run.entries]
    return ranked or run.entries


def label_probabilities(
    data: BrowseData, predictions: BrowsePredictions
) -> Mapping[str, NDArray[np.float64]]:
    """Return probabilities by path, for the label check of the audit.

    The columns are the classes with labelled files, in the order of the feature file. The result is
    empty if the classifier does not predict exactly these classes. The label check then fits a
    classifier.
    """
    present = order_classes(data.features.label_counts)
    if set(present) != set(predictions.classes):
        return {}
    columns = [predictions.classes.index(name) for name in present]
    tested = np.flatnonzero(predictions.predicted >= 0)
    paths = data.features.paths[tested].tolist()
    return dict(zip(paths, predictions.p[tested][:, columns], strict=True))
