"""Leaderboard of a run or a model: the mean and spread of each metric over folds, best entry first.

An entry is a classifier or a vote.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from clipfeat.errors import unknown_name
from clipfeat.evaluate.gains import Gain, gains
from clipfeat.evaluate.intervals import FEW_UNITS
from clipfeat.evaluate.metrics import METRICS
from clipfeat.evaluate.pivots import Pivot, pivots
from clipfeat.evaluate.rates import RateTable, rate_table
from clipfeat.evaluate.resampling import Resamples, resampled
from clipfeat.evaluate.spread import mean_of, spread_note, spread_of, spread_over, spread_text
from clipfeat.evaluate.standings import Standing, standings
from clipfeat.evaluate.tidy_rows import COSTS, headline_rows, pooled_metrics
from clipfeat.evaluate.validation import OnValidation, merit, on_validation
from clipfeat.features.classes import positive_class, positive_title
from clipfeat.system.escaping import terminal_text
from clipfeat.zoo import CHANCE

if TYPE_CHECKING:
    import pandas as pd

    from clipfeat.evaluate.result import Benchmark

COST_TITLES = {"fit_seconds": "fit s", "predict_seconds": "predict s", "model_bytes": "size MB"}
DEFAULT_METRIC = "balanced_accuracy"
RECALL = "recall/"
MAX_RECALL_COLUMNS = 4
"""With more classes than this, the recalls of the classes have no columns."""
RANK, ON_VALIDATION, INTERVAL = "rank", "on_validation", "interval"
TEXT_COLUMNS = (RANK, ON_VALIDATION, INTERVAL)
"""Columns that are not means over folds."""


@dataclass(frozen=True, repr=False)
class Leaderboard:
    """Entries of a benchmark, ordered by a metric.

    Parameters
    ----------
    entries : sequence of str
        Names of classifiers and votes, best first. With a validation set, they are ordered by their
        scores on this set.
    mean : mapping of str to mapping of str to float
        For each entry and each metric, the mean over folds.
    spread : mapping of str to mapping of str to float
        For each entry and each metric, the standard deviation over folds (``ddof=1``). NaN for
        metrics that are computed on all folds together.
    metric : str
        Name of the metric that orders the entries.
    standings : mapping of str to Standing
        For each entry, the interval of its score and its comparison with the leader, which is the
        best entry. Empty if the leaderboard shows the scores that a model file stores.
    gains : sequence of Gain
        Difference between each vote and the best single classifier.
    pivots : sequence of Pivot
        Tables of scores by held-out value, by number of training images, or by training and test
        value. They depend on the protocol. See `clipfeat.evaluate.pivots.pivots`.
    notes : sequence of str
        Sentences on the meaning of spreads, intervals and ranks.
    positive : str
        The positive class of two classes. Empty if the leaderboard shows the scores that a model
        file stores.
    validation : mapping of str to mapping of str to float
        For each entry, its metrics on the validation set, which then order the entries. Empty
        without a validation set.
    rates : RateTable, optional
        False positive rate of each source and recall of each generator. None without a column of
        sources or generators.
    averaged_over : str
        Items over which means and standard deviations are computed, such as ``"folds"``.
    caveats : sequence of str
        Notes on limits of the intervals, such as a small number of test groups.

    See Also
    --------
    Benchmark.leaderboard : The leaderboard of a run.
    """

    entries: Sequence[str]
    mean: Mapping[str, Mapping[str, float]]
    spread: Mapping[str, Mapping[str, float]]
    metric: str = DEFAULT_METRIC
    standings: Mapping[str, Standing] = field(default_factory=dict)
    gains: Sequence[Gain] = ()
    pivots: Sequence[Pivot] = ()
    notes: Sequence[str] = ()
    positive: str = ""
    validation: OnValidation = field(default_factory=dict)
    rates: RateTable | None = None
    averaged_over: str = "folds"
    caveats: Sequence[str] = ()

    @classmethod
    def from_rows(
        cls,
        rows: Sequence[Mapping[str, Any]],
        metric: str = DEFAULT_METRIC,
        standings: Sequence[Standing] = (),
        gains: Sequence[Gain] = (),
        validation: OnValidation | None = None,
    ) -> "Leaderboard":
        """Make a leaderboard from tidy rows, which hold one score each.

        Parameters
        ----------
        rows : sequence of mapping
            `Benchmark.rows` or `Model.scores`. For a few-shot protocol, only the rows with the
            largest number of training images are used.
        metric : str
            Name of the metric that orders the entries. Entries with the same value are ordered by
            log loss.
        standings : sequence of Standing
            Standings by this metric. If there are any, entries without a standing come last.
        gains : sequence of Gain
            Gains of the votes by this metric.
        validation : mapping of str to mapping of str to float
            Metrics of the entries on the validation set. If given, they order the entries.

        Returns
        -------
        Leaderboard
            The entries, best first.

        Raises
        ------
        UnknownNameError
            If the metric is unknown.
        """
        check_metric(metric)
        values: dict[str, dict[str, list[float]]] = {}
        for row in headline_rows(rows):
            of_entry = values.setdefault(row["classifier"], {})
            of_entry.setdefault(row["metric"], []).append(row["value"])
        mean = {e: {m: mean_of(v) for m, v in of.items()} for e, of in values.items()}
        pooled = pooled_metrics(rows)
        spread = {
            e: {m: float("nan") if m in pooled else spread_of(v) for m, v in of.items()}
            for e, of in values.items()
        }
        sign = -1.0 if METRICS[metric].higher_is_better else 1.0
        ranked = {one.entry: one for one in standings}

        def order(entry: str) -> tuple[bool, float, float]:
            unranked = bool(ranked) and entry not in ranked
            if validation is not None:
                first, second = merit(metric, validation.get(entry, {}))
                return unranked, -first, -second
            value = mean[entry].get(metric, float("nan"))
            key = float("inf") if np.isnan(value) else sign * value
            log_loss = mean[entry].get("log_loss", 0.0)
            return unranked, key, float("inf") if np.isnan(log_loss) else log_loss

        entries = sorted(values, key=order)
        over = spread_over(rows)
        board = cls(
            entries, mean, spread, metric, ranked, gains, validation=validation or {},
            averaged_over=over,
        )  # fmt: skip
        spread_notes = [board.spread_note] if board.spread_note else []
        return replace(board, notes=[*_pooled_note(pooled), *spread_notes])

    @property
    def spread_note(self) -> str:
        """Sentence on the meaning of ±. Empty if no cell has a standard deviation."""
        spreads = (
            value
            for of_entry in self.spread.values()
            for metric, value in of_entry.items()
            if metric not in COSTS
        )
        return "" if all(map(np.isnan, spreads)) else spread_note(self.averaged_over)

    @property
    def columns(self) -> dict[str, str]:
        """Map from the names of the columns to their headings.

        The columns are the metrics and the costs. If there are standings, there are also columns
        for the rank and the interval.
        """
        headings = {RANK: "rank"} if self.standings else {}
        if self.validation:
            headings[ON_VALIDATION] = f"{METRICS[self.metric].title} on val"
        recalls = dict.fromkeys(name for of in self.mean.values() for name in of if RECALL in name)
        for name, title in column_titles().items():
            headings[name] = title
            if name == self.metric and self.standings:
                headings[INTERVAL] = "95 % interval"
            if name == "balanced_accuracy" and len(recalls) <= MAX_RECALL_COLUMNS:
                headings |= {recall: f"{recall.removeprefix(RECALL)} right" for recall in recalls}
        return headings

    def rank(self, entry: str) -> str:
        """Return the rank of an entry as text.

        If entries are tied with the leader, they and the leader all have the rank ``1=``.
        """
        if entry not in self.standings:
            return "–"
        tied = [name for name, standing in self.standings.items() if standing.tied]
        if entry in tied:
            return "1=" if len(tied) > 1 else "1"
        return str(self.entries.index(entry) + 1)

    def cell(self, entry: str, metric: str) -> str:
        """Return the text of one cell of the table, such as ``0.912 ± 0.008``."""
        if metric == RANK:
            return self.rank(entry)
        if metric == INTERVAL:
            return _interval_text(self.standings.get(entry))
        if metric == ON_VALIDATION:
            return _number(self.validation.get(entry, {}).get(self.metric, float("nan")))
        mean = self.mean[entry].get(metric, float("nan"))
        if metric in COSTS and not np.isnan(mean):
            return f"{mean / 1e6 if metric == 'model_bytes' else mean:.2f}"
        return spread_text(mean, self.spread[entry].get(metric, float("nan")))

    def standing_values(self, entry: str) -> dict[str, Any]:
        """Return further values of an entry, by names that start with the metric.

        The values are the score on validation images and the fields of `Standing`, such as the
        interval. The result is empty if the entry has neither.
        """
        values: dict[str, Any] = {}
        if self.validation:
            value = self.validation.get(entry, {}).get(self.metric, float("nan"))
            values[f"{self.metric}_{ON_VALIDATION}"] = value
        standing = self.standings.get(entry)
        return values if standing is None else values | {
            f"{self.metric}_{key}": value for key, value in asdict(standing).items()
            if key not in ("entry", "value")
        }  # fmt: skip

    def to_pandas(self) -> "pd.DataFrame":
        """Return a table with one row per entry, and the mean and spread of each metric."""
        import pandas as pd

        table = {
            entry: {
                key: value
                for metric in self.columns
                if metric not in TEXT_COLUMNS
                for key, value in (
                    (metric, self.mean[entry].get(metric)),
                    (f"{metric}_std", self.spread[entry].get(metric)),
                )
                if not (metric in COSTS and key.endswith("_std"))
            }
            | self.standing_values(entry)
            for entry in self.entries
        }
        return pd.DataFrame(table).T.rename_axis("classifier").reset_index()

    def best(self, metric: str) -> float:
        """Return the best mean of a metric, or NaN if it is undefined for all entries.

        The chance baseline is excluded. It predicts the class frequencies, so its calibration error
        is always low.
        """
        values = [
            value
            for entry in self.entries
            if entry.partition(" @ ")[0] != CHANCE
            if not np.isnan(value := self.mean[entry].get(metric, float("nan")))
        ]
        return (max if METRICS[metric].higher_is_better else min)(values, default=float("nan"))

    def __repr__(self) -> str:
        lines = [f"Leaderboard by {METRICS[self.metric].title}:"]
        for entry in self.entries:
            interval = _interval_text(self.standings.get(entry))
            lines.append(
                f"{self.rank(entry):>3} {self.cell(entry, self.metric)}"
                f"{f' ({interval})' if interval != '–' else ''} {terminal_text(entry)}"
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return an HTML table for notebooks, with the best value of each metric in bold."""
        from clipfeat.evaluate.leaderboard_html import leaderboard_html

        return leaderboard_html(self)


def run_leaderboard(
    run: "Benchmark", metric: str = DEFAULT_METRIC, by: str | None = None
) -> Leaderboard:
    """Make the leaderboard of a run, with intervals, ties, gains, pivots and rates.

    See Also
    --------
    Benchmark.leaderboard : The public method.
    """
    check_metric(metric)
    draws = resampled(run, run.complete, metric)
    board = Leaderboard.from_rows(
        run.rows,
        metric,
        standings(run, metric, draws),
        gains(run, metric, draws),
        on_validation(run) or None,
    )
    column = str(run.about.get("column", ""))
    return replace(
        board,
        pivots=[
            replace(pivot, title=f"{pivot.title}{positive_title(run.classes)}")
            for pivot in pivots(run.rows, metric, board.entries, column)
        ],
        notes=[*_notes(draws, board), *board.notes],
        caveats=_caveats(draws) if board.standings else [],
        rates=rate_table(run, by),
        positive=positive_class(run.classes) or "",
    )


def _pooled_note(pooled: Collection[str]) -> list[str]:
    """Name the metrics that are not means over folds."""
    titles = [metric.title for name, metric in METRICS.items() if name in pooled]
    if not titles:
        return []
    return [
        f"Computed on the predictions of all folds together: {', '.join(titles)} (debiased root "
        "mean square, Kumar et al. 2019)."
    ]


def _notes(draws: Resamples, board: Leaderboard) -> list[str]:
    """Return the notes on the intervals and ranks of a leaderboard."""
    if not board.standings:
        return []
    n, size = len(board.standings), draws.size
    covered = (
        f"are simultaneous for all {n} entries, including the best one. They " if n > 1 else ""
    )
    column = draws.unit.partition(" of ")[2]
    units = _units_text(draws)
    scope = {
        "image": "the choice of test images",
        "group": "the choice of test groups",
    }.get(draws.unit, "the choice of held-out values")
    new = f" They also apply to a new {column}." if column else ""
    notes = [
        f"The 95 % intervals of {METRICS[board.metric].title} {covered}account for {scope} "
        f"(bootstrap over {units}), but not for the choice of training images.{new}"
    ]
    if size.n_units < 2:
        return _caveats(draws)
    notes += _caveats(draws)
    if board.validation:
        notes.append(
            f"The entries are ordered by {METRICS[board.metric].title} on the validation images. "
            "All other scores are those of the test images."
        )
        ahead = [e for e, one in board.standings.items() if one.behind < 0 and not one.tied]
        if ahead:
            notes.append(
                f"On the test images, {', '.join(ahead)} scored better than the entry chosen on "
                "val. The scores on the test images do not change this choice."
            )
    tied = sum(standing.tied for standing in board.standings.values())
    if tied > 1:
        notes.append(
            f"No difference was found between the {tied} entries with rank 1= (paired tests, "
            "corrected for all pairs of entries)."
        )
    return notes


def _units_text(draws: Resamples) -> str:
    kind, _, column = draws.unit.partition(" of ")
    n = draws.size.n_units
    return f"{n} {kind}{'s' if n > 1 else ''}{column and f' of {column!r}'}"


def _caveats(draws: Resamples) -> list[str]:
    """Return a caveat if there are too few units for an interval, or for a precise interval."""
    units, n = _units_text(draws), draws.size.n_units
    if n < 2:
        return [f"There is no interval, because {units} cannot be resampled."]
    if n < FEW_UNITS:
        return [
            f"With only {units}, the intervals are approximate and wide, and the tests find only "
            "large differences."
        ]
    return []


def column_titles() -> dict[str, str]:
    """Return the headings of the columns of metrics and costs, by name."""
    return {name: metric.title for name, metric in METRICS.items()} | COST_TITLES


def check_metric(metric: str) -> None:
    """Check that a metric exists. The error lists the most similar names."""
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"


def _interval_text(standing: Standing | None) -> str:
    if standing is None or np.isnan(standing.low):
        return "–"
    return f"{standing.low:.3f} to {standing.high:.3f}"
