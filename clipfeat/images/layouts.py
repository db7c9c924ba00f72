"""Determine the class, generator and split of images from the folders in their paths.

`understand` finds the first row of `clipfeat.images.layout_table` that matches every path. Only the
paths are used, and no file is read. These rules apply:

- A folder named after a part of an official split, such as ``train``, sets the column ``split``
  and is left out before the patterns are tried. ``train`` beside two or more other categories of
  ProGAN images is a category, not a split.
- The number of folders that ``{set}`` stands for is the one that yields the most known generators.
- Photographs that are paired with a generator have its name in the column ``generator``. A name
  that occurs for photographs only is in the column ``source``, unless it is a known generator.

If no row matches, each top-level folder is tried as a data set with its own layout. If one of them
has no layout, the top-level folder is the class. The notes report anything that may have been
misunderstood, and the options that correct it.

Lists in pickle files, such as those of UniversalFakeDetect, are never read, because loading a
pickle file can run arbitrary code.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from clipfeat.features.official_parts import SPLIT, official_part
from clipfeat.images.layout_names import (
    PROGAN_CATEGORIES,
    generator_name,
    is_generator,
    is_photographs,
)
from clipfeat.images.layout_patterns import is_possible, match, words_of
from clipfeat.images.layout_table import (
    CATEGORY,
    CLASS_PAIRS,
    FAKE,
    GENERATOR,
    LAYOUTS,
    REAL,
    SOURCE,
    Layout,
    Reading,
    few_or_known_generators,
    known_generators,
)

UNAMBIGUOUS = {"0_real": REAL, "1_fake": FAKE}
"""Labels of folder names that are clear even if no layout is recognised."""
MOST_LEVELS = 8
"""The number of folders that ``{set}`` stands for is below this value."""
CLASS_FOLDERS = "class folders"
"""Name of the layout in which the top-level folder is the class."""

Folders = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PathValues:
    """Values that the path of an image gives.

    Parameters
    ----------
    label, group : str
        Empty if the path gives none.
    columns : tuple of (name, value)
        Further values, sorted by name, such as ``generator``, ``category`` and ``split``.
    """

    label: str = ""
    group: str = ""
    columns: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Understood:
    """Layout of a source, and the values that its paths give.

    Parameters
    ----------
    values : list of PathValues
        The values of each path.
    layout : str
        Name of the layout. Empty if the paths have no folders.
    published : str
        Paper that describes the layout, or an example of a path in it.
    notes : tuple of str
        Values that may be wrong, and the options that correct them.
    """

    values: list[PathValues]
    layout: str = ""
    published: str = ""
    notes: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether a row of the table was recognised, and both classes occur."""
        return has_both_classes(self.layout, {values.label for values in self.values})


def has_both_classes(layout: str, labels: Set[str]) -> bool:
    """Return whether the layout is one of a known data set, and the labels include both classes."""
    return layout not in {"", CLASS_FOLDERS} and {REAL, FAKE} <= labels


def understand(paths: Sequence[Sequence[str]], *, root: str = "") -> Understood:
    """Find the layout of a data set, and the class and other values of each image.

    Parameters
    ----------
    paths : sequence of sequence of str
        The parts of each image's path below the source, such as
        ``("progan", "cat", "0_real", "1.png")``.
    root : str
        Name of the folder that is the source. It is used if it names a generator and no folder
        below it does.

    Returns
    -------
    Understood
        The values of each path, in the order of `paths`.

    Examples
    --------
    >>> paths = [("sdxl", "0_real", "1.png"), ("sdxl", "1_fake", "1.png")]
    >>> understand(paths).values[1]
    PathValues(label='fake', group='', columns=(('generator', 'sdxl'),))
    """
    above = [tuple(path[:-1]) for path in paths]
    distinct = sorted(set(above))
    split = _splits(distinct)
    kept = {folders: _without(folders, split[folders]) for folders in distinct}
    reading = _best(sorted(set(kept.values())))
    if is_generator(root) and (reading is None or reading.n_known <= 0):
        inside = _best(sorted({(root, *folders) for folders in kept.values()}))
        if inside is not None and inside.n_known > (reading.n_known if reading else 0):
            kept = {folders: (root, *rest) for folders, rest in kept.items()}
            reading = inside
    if reading is None and (whole := _by_data_set(paths)):
        return whole
    if reading is None:
        values = {folders: _by_first_folder(kept[folders]) for folders in distinct}
        notes = _notes_on_classes(list(kept.values()))
        layout, published, groups = CLASS_FOLDERS if any(distinct) else "", "", [""] * len(paths)
    else:
        of_folders = dict(zip(reading.folders, reading.values, strict=True))
        values = {folders: of_folders[kept[folders]] for folders in distinct}
        notes = _notes(reading)
        row = reading.layout
        layout, published = row.name, row.published
        groups = row.group(paths) if row.group else [""] * len(paths)
    named = _finished(values, split)
    return Understood(
        [
            replace(named[folders], group=group)
            for folders, group in zip(above, groups, strict=True)
        ],
        layout,
        published,
        tuple(notes),
    )


def _by_data_set(paths: Sequence[Sequence[str]]) -> Understood | None:
    """Read each top-level folder as a data set. Return None if one has no complete layout."""
    of_set: dict[str, list[int]] = {}
    for i, path in enumerate(paths):
        of_set.setdefault(path[0] if len(path) > 2 else "", []).append(i)
    if len(of_set) < 2 or "" in of_set:
        return None
    values = [PathValues()] * len(paths)
    data_sets: dict[str, Understood] = {}
    for name, indices in sorted(of_set.items()):
        understood = understand([paths[i][1:] for i in indices], root=name)
        if not understood.is_complete:
            return None
        data_sets[name] = understood
        for i, value in zip(indices, understood.values, strict=True):
            values[i] = value
    return Understood(
        values,
        " and ".join(dict.fromkeys(one.layout for one in data_sets.values())),
        "; ".join(dict.fromkeys(one.published for one in data_sets.values())),
        tuple(f"{name}: {note}" for name, one in data_sets.items() for note in one.notes),
    )


def _splits(distinct: Sequence[Folders]) -> dict[Folders, int | None]:
    """Return, for each path, the index of the first folder that names a part of an official split.

    The index is None if no folder does.
    """
    beside: dict[Folders, set[str]] = {}
    for folders in distinct:
        for i, name in enumerate(folders):
            beside.setdefault(folders[:i], set()).add(name.lower())

    def names_part(folders: Folders, i: int) -> bool:
        name = folders[i].lower()
        is_category = name in PROGAN_CATEGORIES and len(beside[folders[:i]] & PROGAN_CATEGORIES) > 2
        return bool(official_part(name)) and not is_category

    return {
        folders: next((i for i in range(len(folders)) if names_part(folders, i)), None)
        for folders in distinct
    }


def _without(folders: Folders, index: int | None) -> Folders:
    return folders if index is None else folders[:index] + folders[index + 1 :]


def _best(distinct: Sequence[Folders]) -> Reading | None:
    """Return the best reading of the first row of the table that matches all paths."""
    names = {name for folders in distinct for name in folders}
    longest = min(max(map(len, distinct), default=0), MOST_LEVELS)
    for row in LAYOUTS:
        for layout in _with_class_names(row):
            sides = [
                any(is_possible(one, names) for one in side) for side in (layout.real, layout.fake)
            ]
            if not (any(sides) if layout.one_class else all(sides)):
                continue
            has_set = any("{set}" in one for one in (*layout.real, *layout.fake))
            readings = [
                (depth, reading)
                for depth in (range(longest) if has_set else range(1))
                if (reading := _read(layout, distinct, depth)) is not None
            ]
            if readings:
                return max(readings, key=_preference)[1]
    return None


def _preference(candidate: tuple[int, Reading]) -> tuple[int, bool, int]:
    """Return a key that prefers known generators, then several generators, then short sets."""
    depth, reading = candidate
    return reading.n_known, len(reading.names(GENERATOR)) > 1, -depth


def _with_class_names(row: Layout) -> list[Layout]:
    """Replace ``<real>`` and ``<fake>`` in the patterns of a row by each pair of names in turn."""
    if not any("<real>" in pattern for pattern in row.real):
        return [row]
    return [
        replace(
            row,
            real=tuple(pattern.replace("<real>", real) for pattern in row.real),
            fake=tuple(pattern.replace("<fake>", fake) for pattern in row.fake),
        )
        for real, fake in CLASS_PAIRS
    ]


def _read(layout: Layout, distinct: Sequence[Folders], depth: int) -> Reading | None:
    """Match all paths with a layout. Return None if one does not match, or a condition fails."""
    patterns = [(REAL, one) for one in layout.real] + [(FAKE, one) for one in layout.fake]
    reserved = frozenset[str]().union(*(words_of(pattern) for _, pattern in patterns))
    labels, all_columns = [], []
    for folders in distinct:
        matches = ((label, match(one, folders, depth, reserved)) for label, one in patterns)
        label, columns = next((one for one in matches if one[1] is not None), ("", None))
        if columns is None or _names_generator(columns.get("set", "")):
            return None
        if GENERATOR in columns:
            columns[GENERATOR] = generator_name(columns[GENERATOR])
            is_lower = _names_generator(columns.get(CATEGORY, ""))
            if is_lower and not is_generator(columns[GENERATOR]):
                return None
        labels.append(label)
        all_columns.append(columns)
    if not layout.one_class and len(set(labels)) < 2:
        return None
    reading = Reading(layout, distinct, labels, all_columns)
    return reading if all(condition(reading) for condition in layout.needs) else None


def _names_generator(folders: str) -> bool:
    return any(map(is_generator, folders.split("/")))


def _by_first_folder(folders: Folders) -> tuple[str, dict[str, str]]:
    first = folders[0] if folders else ""
    return UNAMBIGUOUS.get(first.lower(), first), {}


def _finished(
    values: dict[Folders, tuple[str, dict[str, str]]],
    split: dict[Folders, int | None],
) -> dict[Folders, PathValues]:
    """Return the label and columns of each path, with its split, generator and source."""
    # Copy the columns, because paths that differ only in their split share them.
    values = {folders: (label, dict(columns)) for folders, (label, columns) in values.items()}
    for folders, (_, columns) in values.items():
        columns.pop("set", None)
        place = split[folders]
        if place is not None:
            columns[SPLIT] = official_part(folders[place])
    generators = {
        columns.get(GENERATOR, "") for label, columns in values.values() if label != REAL
    } - {""}
    finished = {}
    for folders, (label, columns) in values.items():
        name = columns.get(GENERATOR, "")
        if label == REAL and name not in generators and not is_generator(name):
            columns.setdefault(SOURCE, columns.pop(GENERATOR, ""))
        given = sorted((name, value) for name, value in columns.items() if value)
        finished[folders] = PathValues(label, columns=tuple(given))
    return finished


def _notes(reading: Reading) -> list[str]:
    """Return notes on the values of a reading that may be wrong."""
    generators = sorted(reading.names(GENERATOR))
    unknown = [name for name in generators if not is_generator(name)]
    notes = []
    if reading.layout.generator and not all(map(_has_generator, reading.columns)):
        notes.append(
            f"folders such as {min(reading.names(CATEGORY))} are taken for categories of the "
            f"training set of {reading.layout.name}, made by {reading.layout.generator}. If "
            "they are generators, pass --generator-level N"
        )
    needs = reading.layout.needs
    has_choice = few_or_known_generators in needs or any(map(reading.names, (CATEGORY, "set")))
    if unknown and (known_generators in needs or (reading.n_known <= 0 and has_choice)):
        notes.append(
            f"{_listed(unknown)} {'is' if len(unknown) == 1 else 'are'} taken for "
            f"{'a generator' if len(unknown) == 1 else 'generators'} because of the position of "
            "the folder. If another folder names the generator, pass --generator-level N"
        )
    return notes


def _has_generator(columns: Mapping[str, str]) -> bool:
    return GENERATOR in columns


def _notes_on_classes(paths: Sequence[Folders]) -> list[str]:
    """Return notes on values that may be wrong if the top-level folder is the class."""
    names = {name.lower() for folders in paths for name in folders}
    classes = sorted({folders[0] for folders in paths if folders})
    for real, fake in CLASS_PAIRS:
        if {real, fake} <= names and not {real, fake} <= {name.lower() for name in classes}:
            return [
                f"some folders are named {real} and {fake}, but not every path fits one layout. "
                f"Therefore the top-level folder is the class. To state the classes, pass --real "
                f"'**/{real}' --fake '**/{fake}' --generator-level N"
            ]
    photographs = [name for name in classes if name.lower() == REAL or is_photographs(name)]
    others = [name for name in classes if name not in photographs]
    if photographs and (len(others) > 1 or any(map(is_generator, others))):
        options = [f"--real '{name}'" for name in photographs[:2]]
        options += [f"--fake '{name}'" for name in others[:3]]
        return [
            f"each top-level folder is a class, such as {_listed(classes)}. If "
            f"{_listed(others)} are generators, state the classes: {' '.join(options)} "
            "--generator-level 1"
        ]
    if len(classes) > 1 and all(map(is_generator, classes)):
        return [
            f"each generator is a class, such as {_listed(classes)}. To label all images as fake, "
            "pass --fake '**' --generator-level 1"
        ]
    if len(classes) == 1 and len({folders[1] for folders in paths if len(folders) > 1}) > 1:
        return [
            f"all images are below the folder {classes[0]}, so it is their only class. If its "
            f"subfolders are the classes, pass the folder {classes[0]} as the source"
        ]
    return []


def _listed(names: Sequence[str], limit: int = 3) -> str:
    shown = list(names[:limit])
    more = [f"{len(names) - limit} more"] if len(names) > limit else []
    listed = [*shown, *more]
    return " and ".join(filter(None, [", ".join(listed[:-1]), listed[-1]]))
