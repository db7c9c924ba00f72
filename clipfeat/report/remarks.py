"""What a run chose and found, in one plain sentence each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clipfeat.errors import RefusedFileError
from clipfeat.evaluate.gains import Gain
from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.metrics import DECIDED
from clipfeat.evaluate.result import Benchmark
from clipfeat.evaluate.tidy_rows import headline_rows
from clipfeat.evaluate.votes import SOFT_VOTE
from clipfeat.model import Model


def remarks(run: Benchmark, board: Leaderboard) -> list[str]:
    """Sentences for below a leaderboard of the run."""
    votes = run.about["votes"]
    return [
        *_shared(run.about),
        *(_weights(v, weights) for v, weights in votes.items() if weights and v != SOFT_VOTE),
        *(_gain(gain) for gain in board.gains),
        *_partial(run),
        *(_uncalibrated(run.about) if votes else []),
        *_thresholds(run),
        *(_tuned(entry, list(of_folds.values())) for entry, of_folds in run.about["tuned"].items()),
    ]


def _partial(run: Benchmark) -> list[str]:
    left = [entry for entry in run.entries if entry not in run.complete]
    return [
        f"{entry} has no place, since it failed in some of the trials: its means are of others"
        for entry in left
    ]


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _shared(about: Mapping[str, Any]) -> list[str]:
    if not about.get("shared"):
        return []
    return [
        f"{about['shared']} images of no {about['column']} are shared among the tests: each part "
        "is tested beside a value, by trainings that have not seen it"
    ]


def model_remarks(model: Model) -> list[str]:
    """What was chosen for a model, and what its cross-validation found.

    Raises
    ------
    RefusedFileError
        If the model came from a file whose notes are none of ours.
    """
    try:
        return _of_model(model)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise RefusedFileError(
            f"what the model file says of itself cannot be read ({error!r}): it is damaged"
        ) from error


def _of_model(model: Model) -> list[str]:
    about = model.about
    said = []
    if about.get("weights") and about.get("vote") != "uniform":
        title = about["gain"]["vote"] if "gain" in about else "soft vote"
        said.append(_weights(title, {entry: [w] for entry, w in about["weights"].items()}))
    if "gain" in about:
        said.append(_gain(Gain(**about["gain"])))
    said += _uncalibrated(about)
    said += [_tuned(entry, [tuned]) for entry, tuned in about.get("tuned", {}).items()]
    said += _late(about)
    if model.threshold is not None:
        by = about.get("threshold_by")
        said.append(f"predicts {model.classes[1]} above {model.threshold:.4f}, chosen by {by}")
    return said


def _weights(vote: str, weights: Mapping[str, Sequence[float]]) -> str:
    mean = {entry: float(np.mean(of_folds)) for entry, of_folds in weights.items()}
    some = [f"{entry} {w:.2f}" for entry, w in mean.items() if w > 0]
    none = [entry for entry, w in mean.items() if w == 0]
    return f"{vote}: {', '.join(some)}" + (f"; not needed: {', '.join(none)}" if none else "")


def _gain(gain: Gain) -> str:
    said = (
        f"{gain.vote}: {gain.value:+.4f} ± {gain.standard_error:.4f} {gain.metric} over "
        f"{gain.over}, the best single classifier here"
    )
    return f"{said}; WORSE by more than the standard error: use {gain.over}" if gain.worse else said


def _uncalibrated(about: Mapping[str, Any]) -> list[str]:
    errors = about.get("uncalibrated", {})
    if not errors:
        return []
    listed = ", ".join(f"{entry} ({error:.2f})" for entry, error in errors.items())
    advice = "" if about.get("calibrate", "none") != "none" else ": --calibrate sigmoid"
    return [
        f"not calibrated, by their calibration error: {listed}; in a vote their say is not in "
        f"proportion to what they know{advice}"
    ]


def _thresholds(run: Benchmark) -> list[str]:
    by = run.about["threshold_by"]
    metric = by if by in DECIDED else "balanced_accuracy"
    values: dict[tuple[str, str], list[float]] = {}
    for row in headline_rows(run.rows):
        values.setdefault((row["classifier"], row["metric"]), []).append(row["value"])
    said = []
    thresholds: dict[str, list[float]] = {}
    for outcome in run.headline:
        for entry, of_folds in outcome.thresholds.items():
            thresholds.setdefault(entry, []).extend(of_folds)
    for entry, chosen in thresholds.items():
        names = (metric, f"{metric}_at_0.5", f"{metric}_at_oracle", "true_positive_rate",
                 "false_positive_rate")  # fmt: skip
        at, half, oracle, true, false = (_mean(values.get((entry, n), [])) for n in names)
        said.append(
            f"{entry} calls {run.classes[1]} above {np.mean(chosen):.3f} ± {np.std(chosen):.3f}, "
            f"by {by} inside each training: {metric} {at:.3f} (at 0.5: {half:.3f}; at the best of "
            f"each test, an oracle: {oracle:.3f}), true positives {true:.3f}, false positives "
            f"{false:.3f}"
        )
    return said


def _tuned(entry: str, searches: Sequence[Mapping[str, Any]]) -> str:
    names = dict.fromkeys(name for search in searches for name in search["params"])
    values = {name: sorted({s["params"][name] for s in searches if name in s["params"]})
              for name in names}  # fmt: skip
    spans = [
        f"{name} {of[0]:.4g}" + (f" to {of[-1]:.4g}" if len(of) > 1 else "")
        for name, of in values.items()
    ]
    own = sum(not search["params"] for search in searches)
    if own:
        spans.append("its own parameters" + (f" in {own} of {len(searches)}" if spans else ""))
    tried = sum(search["tried"] for search in searches)
    late = sum(search["out_of_time"] for search in searches)
    where = f"{len(searches)} trainings" if len(searches) > 1 else "one search"
    limit = (
        f"; the time limit ended {late} of {len(searches)}, the best so far kept" if late else ""
    )
    return f"{entry}, tuned: {', '.join(spans)} ({tried} candidates in {where}{limit})"


def _late(about: Mapping[str, Any]) -> list[str]:
    limit, seconds = about.get("time_limit"), about.get("seconds", 0.0)
    if limit is None or seconds <= 1.1 * limit:
        return []
    return [f"took {seconds:.0f} s, over the limit of {limit:g} s: the fits themselves take longer"]
