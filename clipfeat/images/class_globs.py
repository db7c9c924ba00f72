"""Classes and generators that the user states with ``--real``, ``--fake``, ``--generator-level``.

A pattern is compared with the path of an image below the source. A pattern may also be an absolute
path, or a path relative to the current directory. ``*`` stands for any text within one name, ``?``
for one character, and ``**`` for any number of folders. A pattern that matches a folder covers all
images below it. Patterns are case-sensitive.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from clipfeat.errors import LabelError, UsageError
from clipfeat.features.official_parts import SPLIT
from clipfeat.images.layout_names import generator_name
from clipfeat.images.layout_table import CATEGORY, FAKE, GENERATOR, REAL, SOURCE
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource
from clipfeat.system.locations import absolute


@dataclass(frozen=True)
class ClassGlobs:
    """Patterns of the paths of photographs and of generated images.

    Parameters
    ----------
    real, fake : sequence of str
        Patterns. Images that no pattern matches are unlabelled. If both are empty, the source
        keeps its labels.
    generator_level : int, optional
        Level of the folder that names the generator of an image, counted from 1 below the source.
        If a folder of this level contains no generated images, its photographs get its name in the
        column ``source`` instead.

    Raises
    ------
    UsageError
        If `generator_level` is less than 1.
    """

    real: Sequence[str] = ()
    fake: Sequence[str] = ()
    generator_level: int | None = None

    @property
    def gives_labels(self) -> bool:
        """Whether the labels of the source are replaced."""
        return bool(self.real or self.fake)

    def __post_init__(self) -> None:
        if self.generator_level is not None and self.generator_level < 1:
            raise UsageError(
                f"--generator-level must be 1 or more, got {self.generator_level}. Pass the number "
                "of the folder that names the generator, counted from the source"
            )


def with_globs(source: ImageSource, globs: ClassGlobs) -> ImageSource:
    """Label the images of a source by patterns, and take the generators from a level of folders.

    Patterns replace all labels. They also drop the groups and columns that come from the layout of
    the folders, except the split. Images that no pattern matches are counted in the notes.

    Raises
    ------
    LabelError
        If an image matches patterns of both classes.
    UsageError
        If a pattern matches no image. If no generated image is `generator_level` or more folders
        below the source.
    """
    if globs.gives_labels:
        source = _labelled(source, globs)
    return source if globs.generator_level is None else _of_level(source, globs.generator_level)


def _labelled(source: ImageSource, globs: ClassGlobs) -> ImageSource:
    patterns = [
        (label, glob, _pattern(glob, source.root))
        for label, of_label in ((REAL, globs.real), (FAKE, globs.fake))
        for glob in of_label
    ]
    used: set[str] = set()
    records: list[ImageRecord] = []
    unmatched: list[str] = []
    for record in source:
        matches = [(label, glob) for label, glob, form in patterns if form.match(record.path)]
        used.update(glob for _, glob in matches)
        labels = {label for label, _ in matches}
        if len(labels) > 1:
            both = " and ".join(f"--{label} {glob!r}" for label, glob in matches)
            raise LabelError(
                f"{record.path!r} matches both {both}. Make one of the patterns narrower"
            )
        if not labels:
            unmatched.append(record.path)
        records.append(_relabelled(record, "".join(labels), bool(source.layout)))
    unused = [(label, glob) for label, glob, _ in patterns if glob not in used]
    if unused:
        label, glob = unused[0]
        raise UsageError(
            f"--{label} {glob!r} matches no image. The paths look like {source.records[0].path!r}. "
            "Correct the pattern"
        )
    notes: tuple[str, ...] = ()
    if n := len(unmatched):
        images = "1 image is unlabelled" if n == 1 else f"{n} images are unlabelled"
        example = unmatched[0]
        notes = (f"{images}, because neither --real nor --fake matches (for example {example!r})",)
    return replace(source, records=records, layout="--real and --fake", notes=notes)


def _relabelled(record: ImageRecord, label: str, drops_columns: bool) -> ImageRecord:
    if not drops_columns:
        return replace(record, label=label)
    columns = tuple((name, value) for name, value in record.columns if name == SPLIT)
    return replace(record, label=label, group="", columns=columns)


def _of_level(source: ImageSource, level: int) -> ImageSource:
    names = [_folder(record.path, level) for record in source]
    generators = {
        name
        for name, record in zip(names, source, strict=True)
        if record.label not in {REAL, ""} and name
    }
    if not generators:
        raise UsageError(
            f"--generator-level {level} is too high: no generated image has {level} folders in its "
            "path. Pass the number of the folder that names the generator. The paths look like "
            f"{source.records[0].path!r}"
        )
    records, n_shallow = [], 0
    for record, name in zip(source, names, strict=True):
        columns = dict(record.columns)
        columns.pop(GENERATOR, None)
        if name and columns.get(CATEGORY) == name:
            columns.pop(CATEGORY)
        if name and record.label:
            is_source = record.label == REAL and name not in generators
            columns[SOURCE if is_source else GENERATOR] = name
        elif record.label == FAKE:
            n_shallow += 1
        records.append(replace(record, columns=tuple(sorted(columns.items()))))
    notes = tuple(note for note in source.notes if "--generator-level" not in note)
    if n_shallow:
        notes += (
            f"{n_shallow} generated images are below fewer than {level} folders, so they have no "
            "generator",
        )
    return replace(source, records=records, notes=notes)


def _folder(path: str, level: int) -> str:
    folders = path.split("/")[:-1]
    return generator_name(folders[level - 1]) if level <= len(folders) else ""


def _pattern(glob: str, root: str) -> re.Pattern[str]:
    """Return a pattern that matches the start of each path that a glob covers."""
    below = absolute(glob).removeprefix(root.rstrip("/") + "/")
    forms = {glob.removeprefix("./"), *([below] if below != absolute(glob) else [])}
    try:
        return re.compile("|".join(f"{_regex(form)}(?:/|$)" for form in sorted(forms)))
    except re.error as error:
        raise UsageError(f"the pattern {glob!r} is not valid: {error}. Correct it") from error


def _regex(glob: str) -> str:
    """Translate a glob to a regular expression.

    Examples
    --------
    >>> _regex("**/0_real"), _regex("RAISE/**"), _regex("a?/[bc]*")
    ('(?:[^/]+/)*0_real', 'RAISE', 'a[^/]/[bc][^/]*')
    """
    names = glob.strip("/").removesuffix("/**").split("/")
    if names == ["**"]:
        return ".*"
    parts = ["(?:[^/]+/)*" if name == "**" else _name_regex(name) + "/" for name in names]
    return "".join(parts).removesuffix("/")


def _name_regex(name: str) -> str:
    forms = {"*": "[^/]*", "?": "[^/]"}
    pieces = re.findall(r"\[!?[^\]/]+\]|.", name)
    return "".join(
        _one_of(piece[1:-1]) if len(piece) > 1 else forms.get(piece) or re.escape(piece)
        for piece in pieces
    )


def _one_of(characters: str) -> str:
    """Translate the characters between brackets. A leading ``!`` excludes them."""
    negation = "^" if characters.startswith("!") else ""
    characters = re.sub(r"([\\\[^&~|])", r"\\\1", characters.removeprefix("!"))
    return f"[{negation}{characters}]"
