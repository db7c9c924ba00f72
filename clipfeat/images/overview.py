"""Overview of a source: the classes, generators and splits of its images, before they are read."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from clipfeat.features.official_parts import PART_NAMES, SPLIT
from clipfeat.images.layout_table import CATEGORY, GENERATOR, SOURCE
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource

MOST_ROWS = 20
MOST_SPLITS = 6
N_EXAMPLES = 3
UNLABELLED = "unlabelled"
NO_SPLIT = "no split"


@dataclass(frozen=True)
class SourceOverview:
    """Counts of the images in a source by class, generator, source and split, and examples.

    Parameters
    ----------
    title : str
        The number of images, the name of the source, and the layout of its folders.
    counts : mapping of (label, generator, source, split) to int
        Number of images for each combination of values. Missing values are empty.
    examples : tuple of str
        Paths of up to three different images, with their values.
    notes : tuple of str
        Values that may be wrong, and the options that correct them.
    """

    title: str
    counts: Mapping[tuple[str, str, str, str], int]
    examples: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def splits(self) -> list[str]:
        """Names of the splits that have a column in the table. An empty name means no split.

        The list is empty if no image has a split, or if there are more than `MOST_SPLITS`.
        """
        names = {split for *_, split in self.counts}
        if names == {""} or len(names) > MOST_SPLITS:
            return []
        order = list(dict.fromkeys(PART_NAMES.values()))
        known = [name for name in order if name in names]
        return [*known, *sorted(names - {*known, ""}), *([""] if "" in names else [])]

    @property
    def heads(self) -> list[str]:
        """Names of the columns of the table."""
        return ["class", *self._shown, *(split or NO_SPLIT for split in self.splits), "images"]

    def rows(self, limit: int = MOST_ROWS) -> list[list[str]]:
        """Return the cells of the table. After `limit` rows, one row counts all further images."""
        splits = self.splits
        by_row: dict[tuple[str, ...], Counter[str]] = {}
        for (label, generator, source, split), n in self.counts.items():
            names = {GENERATOR: generator, SOURCE: source}
            row = (label or UNLABELLED, *(names[name] for name in self._shown))
            by_row.setdefault(row, Counter())[split] += n
        ordered = sorted(by_row.items())
        rows = [[*names, *_cells(of_split, splits)] for names, of_split in ordered[:limit]]
        if left := ordered[limit:]:
            total = sum((of_split for _, of_split in left), Counter[str]())
            blank = [""] * len(self._shown)
            rows.append([f"… and {len(left)} more", *blank, *_cells(total, splits)])
        return rows

    @property
    def n_names(self) -> int:
        """Number of the columns that hold names. The columns after them hold counts."""
        return 1 + len(self._shown)

    @property
    def _shown(self) -> list[str]:
        """The columns ``generator`` and ``source``, if any image has a value in them."""
        values = {GENERATOR: 1, SOURCE: 2}
        return [name for name, i in values.items() if any(key[i] for key in self.counts)]


def _cells(of_split: Mapping[str, int], splits: Sequence[str]) -> list[str]:
    counts = [of_split.get(split, 0) for split in splits]
    return [*map(str, counts), str(sum(of_split.values()))]


def overview_of(source: ImageSource) -> SourceOverview:
    """Count the images of a source by class, generator, source and split.

    Parameters
    ----------
    source : ImageSource
        The source. Its images are not read.
    """
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for record in source:
        label, generator, origin = _origin(record)
        counts[label, generator, origin, dict(record.columns).get(SPLIT, "")] += 1
    images = "1 image" if len(source) == 1 else f"{len(source)} images"
    layout = f", layout: {source.layout}" if source.layout else ""
    return SourceOverview(
        f"{images} of {source.name}{layout}",
        counts,
        tuple(map(_example, _different(source.records))),
        source.notes,
    )


def _different(records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Return up to `N_EXAMPLES` records, first of different classes, then of different origins."""
    chosen: dict[int, ImageRecord] = {}
    values: tuple[Callable[[ImageRecord], object], ...] = (_label, _origin, id)
    for value in values:
        seen = set(map(value, chosen.values()))
        for i, record in enumerate(records):
            if len(chosen) == N_EXAMPLES:
                break
            if value(record) not in seen:
                seen.add(value(record))
                chosen[i] = record
    return [chosen[i] for i in sorted(chosen)]


def _label(record: ImageRecord) -> str:
    return record.label


def _origin(record: ImageRecord) -> tuple[str, str, str]:
    columns = dict(record.columns)
    return record.label, columns.get(GENERATOR, ""), columns.get(SOURCE, "")


def _example(record: ImageRecord) -> str:
    columns = dict(record.columns)
    values = {"class": record.label or UNLABELLED, "group": record.group}
    values |= {name: columns.get(name, "") for name in (GENERATOR, CATEGORY, SOURCE, SPLIT)}
    listed = ", ".join(f"{name} {value}" for name, value in values.items() if value)
    return f"{record.path}: {listed}"
