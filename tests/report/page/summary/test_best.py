"""Tests of the best entry and of the entries' intervals."""

from dataclasses import replace

import pytest

from clipfeat.report.page.summary.best import MAX_ENTRIES, best_entry
from tests.report.runs import make_run, with_generators


def test_the_number_is_the_one_of_the_leaderboard() -> None:
    """Score, interval and ties equal those of the leaderboard."""
    board = make_run(with_generators(60)).leaderboard()
    best = best_entry(board)
    assert best is not None
    assert (best.entry, best.over) == (board.entries[0], "folds")
    assert best.value == board.cell(best.entry, board.metric).partition(" ")[0]
    assert best.interval == board.cell(best.entry, "interval")
    assert "corrected for the choice among 4 entries" in best.notes[0]
    assert best.notes[1] == f"The chance baseline scores {board.mean['dummy'][board.metric]:.3f}."
    assert [one.note for one in best.bars] == [board.rank(entry) for entry in board.entries]


def test_places_follow_the_values_on_one_scale() -> None:
    """Better entries lie further right, and each dot lies in its interval."""
    skills = {f"svm{i}": i / 4 for i in range(1, MAX_ENTRIES + 3)}
    board = make_run(with_generators(40), None, skills).leaderboard()
    best = best_entry(board)
    assert best is not None
    places = [one.place for one in best.bars]
    assert places == sorted(places, reverse=True)
    assert len(places) == MAX_ENTRIES and best.n_more == 2
    for one in best.bars:
        assert 0 <= one.start <= one.place <= one.start + one.width <= 100
    low, high = map(float, best.ends)
    assert best.bars[0].place == pytest.approx(
        100 * (float(best.value) - low) / (high - low), abs=0.5
    )


def test_a_metric_where_lower_is_better_and_missing_values_have_bars() -> None:
    """An undefined value has no dot. Without standings, there are no intervals."""
    board = make_run(with_generators(30)).leaderboard("log_loss")
    mean = {entry: dict(of) for entry, of in board.mean.items()}
    mean[board.entries[-1]].pop("log_loss")
    best = best_entry(replace(board, mean=mean, standings={}))
    assert best is not None
    assert best.bars[-1].value == "–" and not best.bars[-1].has_value
    assert not any(one.has_interval for one in best.bars)
    assert (best.interval, best.notes) == ("", [])


def test_there_may_be_no_entry() -> None:
    """If all entries failed, there is no best entry."""
    board = replace(make_run(with_generators(20)).leaderboard(), entries=[])
    assert best_entry(board) is None
