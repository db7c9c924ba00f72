"""Tests of the rates on original and degraded images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipfeat.errors import RefusedFileError
from clipfeat.evaluate.rates import FALSE_POSITIVES, RECALL, Rate, RateTable
from clipfeat.report.robustness_rates import load_rates, save_rates, strongest_rates

ROWS = [
    Rate("=coco", "real", FALSE_POSITIVES, 0.25, 0.03, 0.65, 8, 8),
    Rate("", "fake", RECALL, 0.5, 0.16, 0.84, 8, 8),
    Rate("NA", "fake", RECALL, 1.0, float("nan"), float("nan"), 4, 4),
]
TABLE = RateTable(
    "generator", ("real", "fake"),
    {name: [replace(one, rate=one.rate * share) for one in ROWS]
     for name, share in (("original", 1), ("jpeg 90", 0.9), ("jpeg 30", 0.5), ("blur 4", 0.2))},
    dict.fromkeys(("original", "jpeg 90", "jpeg 30", "blur 4"), "threshold 0.5"),
    kind="images",
)  # fmt: skip


@pytest.mark.parametrize("classes", [("real", "fake"), ("real", "fake", "other")])
def test_a_saved_table_is_read_back(classes: tuple[str, ...], tmp_path: Path) -> None:
    """Rates, titles and thresholds are read back as they were saved."""
    table = replace(TABLE, classes=classes)
    if len(classes) > 2:
        entries = {name: [replace(one, kind=RECALL) for one in of]
                   for name, of in table.entries.items()}  # fmt: skip
        table = replace(table, entries=entries)
    assert save_rates(table, tmp_path) == [tmp_path / "rates.csv"]
    loaded = load_rates(tmp_path)
    assert loaded is not None
    assert loaded.title("jpeg 30") == table.title("jpeg 30")
    for name in table.entries:
        assert loaded.rows(name) == table.rows(name)
    assert save_rates(None, tmp_path) == []
    assert load_rates(tmp_path) is None


def test_the_strongest_degradation_of_each_kind_has_a_column() -> None:
    """Cells are the rates of the same value, on request with intervals."""
    heads, rows = strongest_rates(TABLE)
    assert heads == ["generator", "class", "images", "rate", "original", "jpeg 30", "blur 4"]
    assert rows[0] == ["=coco", "real", "8", FALSE_POSITIVES, "0.250", "0.125", "0.050"]
    assert rows[1][0] == "(none)"
    assert strongest_rates(TABLE, intervals=True)[1][1][-1] == "0.100 (0.160 to 0.840)"
    fewer = {**TABLE.entries, "blur 4": TABLE.entries["blur 4"][:1]}
    assert strongest_rates(replace(TABLE, entries=fewer))[1][2][-1] == "–"


@pytest.mark.parametrize("number", ["", "inf"])
def test_a_damaged_table_is_refused(number: str, tmp_path: Path) -> None:
    """A fractional number of images is one clear error."""
    save_rates(TABLE, tmp_path)
    path = tmp_path / "rates.csv"
    path.write_text(path.read_text().replace(",8,8,", f",{number},8,"))
    with pytest.raises(RefusedFileError, match="not a whole number"):
        load_rates(tmp_path)


def test_the_title_names_only_the_rates_of_the_table() -> None:
    """Without negative images, the title mentions no false positive rate."""
    entries = {"original": ROWS[1:]}
    assert replace(TABLE, entries=entries).title("original").startswith("recall of fake by")
    assert np.isnan(ROWS[2].low)
