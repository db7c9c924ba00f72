"""Remarks: sentences on the choices and results of a run or a model."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clipfeat.errors import RefusedFileError
from clipfeat.evaluate.external_scores import score_remarks
from clipfeat.evaluate.gains import Gain
from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.metrics import DECIDED
from clipfeat.evaluate.result import Benchmark
from clipfeat.evaluate.spread import mean_of, spread_of, spread_over, spread_text
from clipfeat.evaluate.tidy_rows import headline_rows
from clipfeat.evaluate.validation import where_chosen
from clipfeat.evaluate.votes import SOFT_VOTE
from clipfeat.model import Model
from clipfeat.report.abstention import abstention_remarks
from clipfeat.report.adaptation import adaptation_remarks
from clipfeat.zoo.calibration import MIN_GROUPS

if TYPE_CHECKING:
    from clipfeat.auditing.result import Audit


def remarks(run: Benchmark, board: Leaderboard, audit: "Audit | None" = None) -> list[str]:
    """Write the remarks on a run.

    The terminal, ``leaderboard.md`` and the HTML page all show this list.

    Parameters
    ----------
    run : Benchmark
        The run.
    board : Leaderboard
        Leaderboard of the run, with the gains of its votes.
    audit : Audit, optional
        Audit of the images of the run.

    Returns
    -------
    list of str
        Remarks on leaks and other findings of the audit, near duplicates, failures, the positive
        class, shared images, votes, calibration, thresholds and tuned parameters.
    """
    votes = run.about.get("votes", {})
    tuned = run.about.get("tuned", {})
    return [
        *(audit.sentences if audit is not None else []),
        *_near_duplicates(run.about),
        *(f"{entry} failed: {reason}" for entry, reason in run.errors.items()),
        *run.about.get("caveats", []),
        *_positive(run.about, run.classes),
        *_shared(run.about),
        *score_remarks(run.about),
        *_balanced(run.about),
        *(_weights(v, weights) for v, weights in votes.items() if weights and v != SOFT_VOTE),
        *(_gain(gain) for gain in board.gains),
        *_partial(run),
        *(_uncalibrated(run.about) if votes else []),
        *_few_groups(run.about),
        *_thresholds(run),
        *(_tuned(entry, list(searches.values())) for entry, searches in tuned.items()),
    ]


def model_remarks(model: Model) -> list[str]:
    """Write the remarks on a model.

    The remarks cover the positive class, vote weights, gain, calibration, parameters, threshold,
    adaptation and abstention.

    Raises
    ------
    RefusedFileError
        If the model comes from a file whose metadata has unexpected types.
    """
    try:
        return _of_model(model)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise RefusedFileError(
            f"the metadata of the model file is damaged ({error!r}). Fit the model again."
        ) from error


def _of_model(model: Model) -> list[str]:
    about = model.about
    lines = _positive(about, model.classes)
    if about.get("weights") and about.get("vote") != "uniform":
        title = about["gain"]["vote"] if "gain" in about else SOFT_VOTE
        lines.append(_weights(title, {entry: [w] for entry, w in about["weights"].items()}))
    if "gain" in about:
        lines.append(_gain(Gain(**about["gain"])))
    lines += _uncalibrated(about)
    lines += _few_groups(about)
    lines += [_tuned(entry, [tuned]) for entry, tuned in about.get("tuned", {}).items()]
    lines += _late(about)
    lines += _near_duplicates(about)
    if model.threshold is not None:
        by = about.get("threshold_by")
        lines.append(
            f"predicts {model.classes[1]} above {model.threshold:.4f}, a threshold chosen by {by}"
        )
    return lines + adaptation_remarks(model) + abstention_remarks(model)


def _positive(about: Mapping[str, Any], classes: Sequence[str]) -> list[str]:
    """Return a remark if the names of the classes do not determine the positive class."""
    if about.get("positive_by") != "default":
        return []
    return [
        f"The names {classes[0]} and {classes[1]} do not determine the positive class, which is "
        f"{classes[1]} here. Use --positive to choose it."
    ]


def _shared(about: Mapping[str, Any]) -> list[str]:
    if not about.get("shared"):
        return []
    return [
        f"{about['shared']} images have no {about['column']}, or one that is not held out. They "
        "are divided among the tests. Each test uses a part on which its models were not trained."
    ]


def _near_duplicates(about: Mapping[str, Any]) -> list[str]:
    counts = about.get("near_duplicates") or {}
    if not counts.get("separated"):
        return []
    n, m = counts["searched"], counts["separated"]
    advice = (
        "Leave these images out of the training set"
        if about.get("given_split")
        else "Add --group-duplicates to keep near duplicates together"
    )
    return [
        f"WARNING: {m} of {n} test images ({m / n:.1%}) have a near duplicate in the training set "
        f"of their fold. The scores may be too high for new images. {advice}."
    ]


def _partial(run: Benchmark) -> list[str]:
    partial = [entry for entry in run.entries if entry not in run.complete]
    return [
        f"{entry} has no rank because it failed in some trials. Its means are over the other "
        "trials."
        for entry in partial
    ]


def balance_text(about: Mapping[str, Any]) -> str:
    """Describe the class balancing of a run for its headings, such as ``"balance prior"``."""
    return f"balance {about.get('balance') or 'none'}"


def _balanced(about: Mapping[str, Any]) -> list[str]:
    if not about.get("balanced_by_default"):
        return []
    return [
        "This protocol determines how many training images each class has. By default, it "
        f"therefore balances the classes with --balance {about['balance']}. Pass the same option "
        "to `clipfeat fit`, or turn balancing off here with --balance none."
    ]


def _weights(vote: str, weights: Mapping[str, Sequence[float]]) -> str:
    mean = {entry: float(np.mean(of_folds)) for entry, of_folds in weights.items()}
    positive = [f"{entry} {w:.2f}" for entry, w in mean.items() if w > 0]
    zero = [entry for entry, w in mean.items() if w == 0]
    text = f"{vote}: weights {', '.join(positive)}"
    return f"{text}; weight 0: {', '.join(zero)}" if zero else text


def _gain(gain: Gain) -> str:
    text = (
        f"{gain.vote}: {gain.metric} {gain.value:+.4f} against {gain.over}, the best single "
        f"classifier {'on val' if gain.on_validation else 'of this run'}"
    )
    if np.isnan(gain.low):
        return f"{text} (standard error {gain.standard_error:.4f})."
    text += f" (95 % interval {gain.low:+.4f} to {gain.high:+.4f}, corrected for the selection)."
    if gain.worse:
        return f"{text} It is WORSE. Use {gain.over}."
    return f"{text} It is better." if gain.better else f"{text} No difference was found."


def _uncalibrated(about: Mapping[str, Any]) -> list[str]:
    errors = about.get("uncalibrated", {})
    if not errors:
        return []
    listed = ", ".join(f"{entry} ({error:.2f})" for entry, error in errors.items())
    advice = "" if about.get("calibrate", "none") != "none" else " Add --calibrate sigmoid."
    return [
        f"Poorly calibrated (calibration error): {listed}. In a vote, the influence of such a "
        f"classifier does not match its accuracy.{advice}"
    ]


def _few_groups(about: Mapping[str, Any]) -> list[str]:
    if "few_groups" not in about:
        return []
    return [
        f"A training set has {about['few_groups']} groups, fewer than {MIN_GROUPS}. Calibrated "
        "classifiers therefore use temperature scaling, which has only one parameter. Their "
        "probabilities are uncertain."
    ]


def _thresholds(run: Benchmark) -> list[str]:
    by = run.about.get("threshold_by")
    metric = by if by in DECIDED else "balanced_accuracy"
    values: dict[tuple[str, str], list[float]] = {}
    for row in headline_rows(run.rows):
        values.setdefault((row["classifier"], row["metric"]), []).append(row["value"])
    thresholds: dict[str, list[float]] = {}
    for outcome in run.headline:
        for entry, of_folds in outcome.thresholds.items():
            thresholds.setdefault(entry, []).extend(of_folds)
    where, over = where_chosen(run), spread_over(run.rows)
    lines = []
    for entry, chosen in thresholds.items():
        names = (metric, f"{metric}_at_0.5", f"{metric}_at_oracle", "true_positive_rate",
                 "false_positive_rate")  # fmt: skip
        score, at_half, at_oracle, tpr, fpr = (mean_of(values.get((entry, n), [])) for n in names)
        half = "" if np.isnan(at_half) else f", {at_half:.3f} at 0.5"
        lines.append(
            f"{entry} predicts {run.classes[1]} above {_with_spread(chosen, over)}, chosen by "
            f"{by or metric} {where}. {metric} is "
            f"{score:.3f} at this threshold{half} and {at_oracle:.3f} at the "
            f"oracle threshold, which is chosen on each test set. True positive rate {tpr:.3f}, "
            f"false positive rate {fpr:.3f}."
        )
    return lines


def _tuned(entry: str, searches: Sequence[Mapping[str, Any]]) -> str:
    names = dict.fromkeys(name for search in searches for name in search["params"])
    values = {name: sorted({s["params"][name] for s in searches if name in s["params"]})
              for name in names}  # fmt: skip
    ranges = [
        f"{name} {of[0]:.4g}" + (f" to {of[-1]:.4g}" if len(of) > 1 else "")
        for name, of in values.items()
    ]
    n_default = sum(not search["params"] for search in searches)
    if n_default:
        share = f" in {n_default} of {len(searches)}" if ranges else ""
        ranges.append(f"default parameters{share}")
    n_candidates = sum(search["tried"] for search in searches)
    n_stopped = sum(search["out_of_time"] for search in searches)
    in_searches = f"{len(searches)} searches" if len(searches) > 1 else "one search"
    limit = f"; the time limit stopped {n_stopped} of {len(searches)}" if n_stopped else ""
    return (
        f"{entry}, tuned: {', '.join(ranges)} ({n_candidates} candidates in {in_searches}{limit})"
    )


def _late(about: Mapping[str, Any]) -> list[str]:
    limit, seconds = about.get("time_limit"), about.get("seconds", 0.0)
    if limit is None or seconds <= 1.1 * limit:
        return []
    return [
        f"The fit took {seconds:.0f} s, over the limit of {limit:g} s, because the fits alone take "
        "longer than the limit."
    ]


def _with_spread(values: Sequence[float], over: str) -> str:
    """Format the mean and the standard deviation of thresholds over folds or repetitions."""
    text = spread_text(mean_of(values), spread_of(values))
    return f"{text} (mean ± standard deviation over {over})" if "±" in text else text
