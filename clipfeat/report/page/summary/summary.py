"""The content of the first screen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.rates import class_rates
from clipfeat.evaluate.result import Benchmark
from clipfeat.report.page.summary.best import Best, best_entry
from clipfeat.report.page.summary.confusion_table import ConfusionTable, confusion_table
from clipfeat.report.page.summary.question import images_text, protocol_text, question
from clipfeat.report.page.summary.rate_chart import RateChart, RateGrid, rate_chart
from clipfeat.report.page.summary.trust import Trust, trust
from clipfeat.report.plots.out_of_fold import OutOfFoldPredictions, out_of_fold_predictions

if TYPE_CHECKING:
    from clipfeat.auditing.result import Audit


@dataclass(frozen=True)
class Summary:
    """The first screen of the page.

    Parameters
    ----------
    question : str
        The classes, as a question.
    images, protocol : str
        Number of images, and how they were divided into training and test images.
    best : Best or None
        The best entry. None if no entry has scores.
    trust : Trust
        How far the scores can be trusted.
    chart : RateChart, RateGrid or None
        Rates of the best entry.
    matrix : ConfusionTable or None
        Confusion matrix of the best entry.
    source : sequence of str
        Encoders, protocol, data fingerprint and seed, which identify the run in a screenshot.
    """

    question: str
    images: str
    protocol: str
    best: Best | None
    trust: Trust
    chart: RateChart | RateGrid | None
    matrix: ConfusionTable | None
    source: Sequence[str]


def summarise(
    run: Benchmark,
    board: Leaderboard,
    predictions: Mapping[str, OutOfFoldPredictions],
    audit: "Audit | None" = None,
) -> Summary:
    """Summarise a run for the first screen of its page.

    Parameters
    ----------
    run : Benchmark
        The run.
    board : Leaderboard
        Its leaderboard.
    predictions : mapping of str to OutOfFoldPredictions
        Predictions by entry, as far as they are known.
    audit : Audit, optional
        Audit of the images.
    """
    best = best_entry(board)
    entry = best.entry if best is not None else ""
    known = predictions.get(entry) or (out_of_fold_predictions(run, entry) if entry else None)
    return Summary(
        question(run.classes),
        images_text(run),
        protocol_text(run),
        best,
        trust(run, board, audit),
        _chart(run, board, entry),
        None if known is None else confusion_table(entry, known, run.classes),
        _source(run),
    )


def _chart(run: Benchmark, board: Leaderboard, entry: str) -> RateChart | RateGrid | None:
    """Return the chart of the rates by source and generator, or by class without such a column."""
    if not run.outcomes or entry not in run.complete:
        return None
    table = board.rates
    return rate_chart(class_rates(run) if table is None else table, entry)


def _source(run: Benchmark) -> list[str]:
    about = run.about
    texts = [spec.title for spec in run.specs]
    texts.append(str(about.get("protocol") or ""))
    if about.get("data_fingerprint"):
        texts.append(f"data {about['data_fingerprint']}")
    if about.get("seed") is not None:
        texts.append(f"seed {about['seed']}")
    return [text for text in texts if text]
