"""Tests of the leaderboard."""

import numpy as np
import pytest

from clipfeat.errors import UnknownNameError
from clipfeat.evaluate import METRICS, KFold, LeaveOneOut, Matrix, benchmark
from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.protocols import Protocol
from clipfeat.evaluate.standings import Standing
from clipfeat.report.markdown import leaderboard_markdown
from tests.conftest import make_features
from tests.report.runs import with_generators


def rows(**values: list[float]) -> list[dict[str, object]]:
    """Return tidy rows of balanced accuracy for a leaderboard."""
    return [
        {"classifier": entry, "metric": "balanced_accuracy", "fold": str(i), "value": value}
        for entry, of_entry in values.items()
        for i, value in enumerate(of_entry)
    ]


def test_best_first_with_spread() -> None:
    """Entries are sorted by their mean, and cells show mean and standard deviation."""
    board = Leaderboard.from_rows(rows(low=[0.5, 0.7], high=[0.9, 0.9], none=[float("nan")]))
    assert board.entries == ["high", "low", "none"]
    assert board.cell("low", "balanced_accuracy") == "0.600 ± 0.141"
    assert board.cell("none", "balanced_accuracy") == "–"
    with pytest.raises(UnknownNameError, match="did you mean accuracy"):
        Leaderboard.from_rows([], metric="acuracy")


def test_tied_entries_share_a_rank() -> None:
    """Tied entries have the rank ``1=``, and the confidence interval is beside its metric."""
    ranked = [
        Standing("a", 0.9, 0.88, 0.92, 0.0, 1.0, True),
        Standing("b", 0.89, 0.87, 0.91, 0.01, 0.3, True),
        Standing("c", 0.7, 0.66, 0.74, 0.2, 0.002, False),
    ]
    board = Leaderboard.from_rows(rows(a=[0.9], b=[0.89], c=[0.7]), standings=ranked)
    assert [board.rank(entry) for entry in "abc"] == ["1=", "1=", "3"]
    assert board.cell("c", "interval") == "0.660 to 0.740"
    assert list(board.columns)[:4] == ["rank", "accuracy", "balanced_accuracy", "interval"]
    assert "| a | 1= |" in leaderboard_markdown(board)
    assert board.to_pandas().balanced_accuracy_tied.tolist() == [True, True, False]
    alone = Leaderboard.from_rows(rows(a=[0.9], c=[0.7]), standings=[ranked[0], ranked[2]])
    assert [alone.rank(entry) for entry in "ac"] == ["1", "2"]


def test_recalls_have_columns_for_few_classes() -> None:
    """Two classes have a recall column each. Seven classes have none."""
    run = benchmark(make_features(), "logreg", protocol=3)
    board = Leaderboard.from_rows(run.rows)
    assert board.columns["recall/real"] == "real right"
    recalls = [board.mean["logreg"][f"recall/{name}"] for name in ("real", "fake")]
    assert board.mean["logreg"]["balanced_accuracy"] == pytest.approx(sum(recalls) / 2)
    many = benchmark(make_features(6, tuple("abcdefg")), "logreg", protocol=3)
    assert "recall/a" not in Leaderboard.from_rows(many.rows).columns


@pytest.mark.parametrize(
    "protocol", [KFold(4, repeats=2), LeaveOneOut("generator"), Matrix("generator", 3)]
)
@pytest.mark.parametrize("metric", ["calibration_error", "tpr_at_fpr_5", "roc_auc"])
def test_a_score_is_the_same_in_rows_standings_and_table(protocol: Protocol, metric: str) -> None:
    """Rows, standings and table have the same value, pooled or averaged over folds."""
    run = benchmark(with_generators(60), "logreg", protocol=protocol)
    board = run.leaderboard(metric)
    assert board.standings["logreg"].value == pytest.approx(board.mean["logreg"][metric])
    if METRICS[metric].pooled and isinstance(protocol, KFold):
        values = []
        for outcome in run.outcomes:
            known = ~np.isnan(outcome.probabilities["logreg"][:, 0])
            p = outcome.probabilities["logreg"][known]
            values.append(METRICS[metric].function(run.y[known], p))
        assert board.mean["logreg"][metric] == pytest.approx(np.mean(values))
    assert any("all folds together: TPR at 5% FPR" in note for note in board.notes)
    assert np.isnan(board.spread["logreg"][metric]) == METRICS[metric].pooled
    assert Leaderboard.from_rows(run.rows).notes == board.notes[-2:]
