"""Table of the rates of a model by source and generator, on original and degraded images."""

from collections.abc import Mapping
from pathlib import Path

from clipfeat.errors import RefusedFileError
from clipfeat.evaluate.rates import FALSE_POSITIVES, NO_VALUE, Rate, RateTable
from clipfeat.system.escaping import read_spreadsheet_csv, spreadsheet_csv
from clipfeat.system.files import publish
from clipfeat.system.locations import local_path

RATES = "rates.csv"
KIND = "images"
NUMBERS = ("rate", "low", "high", "n_images", "n_units")
TEXTS = (KIND, "threshold", "column", "value", "label", "kind", "positive_class")


def save_rates(rates: RateTable | None, folder: str | Path) -> list[Path]:
    """Write ``rates.csv``. If `rates` is None, delete the file that an earlier run wrote.

    Returns
    -------
    list of Path
        The file, if there are rates.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    path = local_path(folder) / RATES
    if rates is None:
        path.unlink(missing_ok=True)
        return []
    publish(spreadsheet_csv(rates.to_pandas()).encode(), path)
    return [path]


def load_rates(folder: str | Path) -> RateTable | None:
    """Read the table that `save_rates` wrote. Return None if the folder does not contain it.

    Raises
    ------
    RefusedFileError
        If the table is damaged.
    """
    path = local_path(folder) / RATES
    if not path.is_file():
        return None
    table = read_spreadsheet_csv(path, NUMBERS, (*NUMBERS, *TEXTS))
    entries: dict[str, list[Rate]] = {}
    for row in table.to_dict("records"):
        try:
            rate = Rate(
                row["value"], row["label"], row["kind"], row["rate"], row["low"], row["high"],
                int(row["n_images"]), int(row["n_units"]),
            )  # fmt: skip
        except (ValueError, OverflowError) as error:
            raise RefusedFileError(
                f"{path} has an image count that is not a whole number ({error}). Write the "
                "file again with `clipfeat robustness`"
            ) from error
        entries.setdefault(row[KIND], []).append(rate)
    if not entries:
        return None
    negative = dict.fromkeys(table.loc[table["kind"] == FALSE_POSITIVES, "label"])
    positive = table["positive_class"].iloc[0]
    labels = table["label"].unique().tolist()
    if positive:
        classes = (next(iter(negative), ""), positive)
    else:  # a model without a positive class has more than two classes, even if two have images
        classes = (*labels, "") if len(labels) == 2 else tuple(labels)
    grouped = bool((table["n_units"] != table["n_images"]).any())
    thresholds = dict(zip(table[KIND], table["threshold"], strict=True))
    return RateTable(table["column"].iloc[0], classes, entries, thresholds, grouped, KIND)


def strongest_rates(
    rates: RateTable, *, intervals: bool = False
) -> tuple[list[str], list[list[str]]]:
    """Tabulate the rates on the original and on the most degraded images of each kind.

    Parameters
    ----------
    rates : RateTable
        Rates by the name of the degradation and its strength, the original images first.
    intervals : bool
        Whether the cells also have the intervals.

    Returns
    -------
    heads, rows
        Headings, and one row of cells for each class and value of the column of the rates.
    """
    strongest = {name.partition(" ")[0]: name for name in rates.entries}
    of_state: dict[str, Mapping[tuple[str, str], Rate]] = {
        name: {(one.label, one.value): one for one in rates.entries[name]}
        for name in strongest.values()
    }
    original = rates.entries[next(iter(rates.entries))]
    heads = [rates.column, "class", "images", "rate", *of_state]
    rows = [
        [
            one.value or NO_VALUE, one.label, str(one.n_images), one.kind,
            *(_cell(rate_of.get((one.label, one.value)), intervals)
              for rate_of in of_state.values()),
        ]
        for one in original
    ]  # fmt: skip
    return heads, rows


def _cell(rate: Rate | None, interval: bool) -> str:
    if rate is None:
        return "–"
    return f"{rate.rate:.3f} ({rate.interval})" if interval else f"{rate.rate:.3f}"
