"""The leaderboard: each entry's mean over folds with its spread, best first."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from clipfeat.errors import unknown_name
from clipfeat.evaluate.metrics import METRICS
from clipfeat.evaluate.result import headline_rows
from clipfeat.evaluate.standings import Standing
from clipfeat.evaluate.trials import COSTS
from clipfeat.zoo import CHANCE

if TYPE_CHECKING:
    import pandas as pd

TITLES = {
    **{name: metric.title for name, metric in METRICS.items()},
    "fit_seconds": "fit s",
    "predict_seconds": "predict s",
    "model_bytes": "size MB",
}
DEFAULT_SORT = "balanced_accuracy"
RECALL = "recall/"
MOST_RECALLS = 4
"""So many classes each have a column."""
PLACE, INTERVAL = "place", "interval"


@dataclass(frozen=True)
class Leaderboard:
    """Entries in order, best first.

    Parameters
    ----------
    entries : sequence of str
        Names of classifiers and votes.
    mean, spread : mapping of str to mapping of str to float
        By entry, then metric: over folds, the mean and the standard deviation (ddof 1).
    sort : str
        The metric that orders them.
    standings : mapping of str to Standing
        By entry, its interval in that metric and whether it is tied with the best; may be empty.
    """

    entries: Sequence[str]
    mean: Mapping[str, Mapping[str, float]]
    spread: Mapping[str, Mapping[str, float]]
    sort: str = DEFAULT_SORT
    standings: Mapping[str, Standing] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, str]:
        """Headings by name: every metric and cost, with places and intervals where known."""
        headings = {PLACE: "place"} if self.standings else {}
        recalls = dict.fromkeys(name for of in self.mean.values() for name in of if RECALL in name)
        for name, title in TITLES.items():
            headings[name] = title
            if name == self.sort and self.standings:
                headings[INTERVAL] = "95 % interval"
            if name == "balanced_accuracy" and len(recalls) <= MOST_RECALLS:
                headings |= {recall: f"{recall.removeprefix(RECALL)} right" for recall in recalls}
        return headings

    def place(self, entry: str) -> str:
        """Its place; ``1=`` for the first and all that are tied with it."""
        if entry not in self.standings:
            return "–"
        tied = [name for name, standing in self.standings.items() if standing.tied]
        if entry in tied:
            return "1=" if len(tied) > 1 else "1"
        return str(self.entries.index(entry) + 1)

    def cell(self, entry: str, metric: str) -> str:
        """One value as text: ``0.912 ± 0.008``."""
        if metric == PLACE:
            return self.place(entry)
        if metric == INTERVAL:
            standing = self.standings.get(entry)
            return "–" if standing is None else f"{standing.low:.3f} to {standing.high:.3f}"
        mean = self.mean[entry].get(metric, float("nan"))
        if np.isnan(mean):
            return "–"
        if metric == "model_bytes":
            return f"{mean / 1e6:.2f}"
        if metric in COSTS:
            return f"{mean:.2f}"
        spread = self.spread[entry].get(metric, float("nan"))
        return f"{mean:.3f}" if np.isnan(spread) else f"{mean:.3f} ± {spread:.3f}"

    def to_pandas(self) -> "pd.DataFrame":
        """One row an entry, a column for each metric's mean and spread."""
        import pandas as pd

        table = {
            entry: {
                key: value
                for metric in self.columns
                if metric not in (PLACE, INTERVAL)
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
        """Return the best mean of a metric, the chance baseline excluded; NaN if there is none.

        The chance baseline predicts the class frequencies, so its calibration error is always low.
        """
        values = [
            value
            for entry in self.entries
            if entry.partition(" @ ")[0] != CHANCE
            if not np.isnan(value := self.mean[entry].get(metric, float("nan")))
        ]
        return (max if METRICS[metric].higher_is_better else min)(values, default=float("nan"))

    def standing_values(self, entry: str) -> dict[str, Any]:
        """Return the interval and the paired test of an entry, by column name."""
        known = self.standings.get(entry)
        if known is None:
            return {}
        return {f"{self.sort}_{key}": value for key, value in asdict(known).items()
                if key not in ("entry", "value")}  # fmt: skip

    def _repr_html_(self) -> str:
        """Return an HTML table for notebooks, with the best value of each metric in bold."""
        columns = self.columns
        best = {name: self.best(name) for name in columns if name in METRICS}
        head = "".join(f"<th>{escape(title)}</th>" for title in ("classifier", *columns.values()))
        body = ""
        for entry in self.entries:
            body += f"<tr><th>{escape(entry)}</th>"
            for name in columns:
                text = escape(self.cell(entry, name))
                is_best = self.mean[entry].get(name, float("nan")) == best.get(name)
                body += f"<td>{f'<b>{text}</b>' if is_best else text}</td>"
            body += "</tr>"
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def leaderboard(
    rows: Sequence[Mapping[str, Any]],
    sort: str = DEFAULT_SORT,
    standings: Sequence[Standing] = (),
) -> Leaderboard:
    """Put tidy benchmark rows in order.

    Parameters
    ----------
    rows : sequence of mapping
        As `Benchmark.rows` or `Model.scores`; of a few-shot curve those with the most images.
    sort : str
        The metric by which entries are ordered; ties by log loss.
    standings : sequence of Standing
        By `clipfeat.evaluate.standings.standings`, in that metric.

    Raises
    ------
    UnknownNameError
        If there is no such metric.
    """
    if sort not in METRICS:
        raise unknown_name("metric", sort, METRICS)
    values: dict[str, dict[str, list[float]]] = {}
    for row in headline_rows(rows):
        of_entry = values.setdefault(row["classifier"], {})
        of_entry.setdefault(row["metric"], []).append(row["value"])
    mean = {e: {m: _mean(v) for m, v in of.items()} for e, of in values.items()}
    spread = {e: {m: _spread(v) for m, v in of.items()} for e, of in values.items()}
    sign = -1.0 if METRICS[sort].higher_is_better else 1.0

    placed = {one.entry for one in standings}

    def place(entry: str) -> tuple[bool, float, float]:
        by = mean[entry].get(sort, float("nan"))
        value = float("inf") if np.isnan(by) else sign * by
        return bool(placed) and entry not in placed, value, mean[entry].get("log_loss", 0.0)

    return Leaderboard(
        sorted(values, key=place), mean, spread, sort, {one.entry: one for one in standings}
    )


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def _spread(values: Sequence[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.std(defined, ddof=1)) if len(defined) > 1 else float("nan")
