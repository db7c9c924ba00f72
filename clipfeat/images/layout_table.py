"""The table of layouts of published data sets.

Each row of `LAYOUTS` is a layout. It has patterns for the folders of photographs, patterns for the
folders of generated images, and conditions on the names in all paths.
`clipfeat.images.layout_patterns` explains the patterns. The first row that matches all paths of a
source applies, so specific rows come before general ones. To add a layout, add a row.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clipfeat.images.layout_names import PROGAN_CATEGORIES, is_generator

GENERATOR = "generator"
SOURCE = "source"
CATEGORY = "category"
REAL, FAKE = "real", "fake"

CLASS_PAIRS = (("real", "fake"), ("0_real", "1_fake"), ("nature", "ai"))
"""Names of folders that stand for ``<real>`` and ``<fake>`` in a pattern."""
MOST_UNKNOWN_GENERATORS = 50


@dataclass(frozen=True)
class Reading:
    """Result of matching the folders of all paths with a layout.

    Parameters
    ----------
    layout : Layout
        The row of the table.
    folders : list of tuple of str
        The folders of each path, without the folder that names a split. Each tuple occurs once.
    labels : list of str
        The class for each tuple of folders.
    columns : list of dict
        The columns for each tuple of folders. The column ``set`` holds the folders of ``{set}``.
    """

    layout: "Layout"
    folders: Sequence[tuple[str, ...]]
    labels: list[str]
    columns: list[dict[str, str]]

    @property
    def values(self) -> list[tuple[str, dict[str, str]]]:
        """Class and columns of each tuple of folders. The layout's generator is the default."""
        default = {GENERATOR: self.layout.generator}
        both = zip(self.labels, self.columns, strict=True)
        return [(label, default | columns) for label, columns in both]

    def names(self, column: str, label: str = "") -> set[str]:
        """Return the non-empty values of a column in one class, or in all classes by default."""
        return {
            columns[column]
            for columns, of in zip(self.columns, self.labels, strict=True)
            if label in {"", of} and columns.get(column)
        }

    @property
    def n_known(self) -> int:
        """Number of names that are known generators, minus those that are known categories."""
        names = self.names(GENERATOR)
        categories = sum(name.lower() in PROGAN_CATEGORIES for name in names)
        return sum(map(is_generator, names)) - categories


Condition = Callable[[Reading], bool]


def has_categories(reading: Reading) -> bool:
    """Return whether a folder names a category."""
    return bool(reading.names(CATEGORY))


def has_generators(reading: Reading) -> bool:
    """Return whether a folder names a generator."""
    return bool(reading.names(GENERATOR))


def in_one_set(reading: Reading) -> bool:
    """Return whether ``{set}`` stands for the same folders in all paths."""
    return len({columns.get("set", "") for columns in reading.columns}) == 1


def known_generators(reading: Reading) -> bool:
    """Return whether at least half of the generators are known."""
    names = reading.names(GENERATOR)
    return bool(names) and 2 * sum(map(is_generator, names)) >= len(names)


def few_or_known_generators(reading: Reading) -> bool:
    """Return whether the folders name few generators, or at least half of the names are known.

    More than `MOST_UNKNOWN_GENERATORS` unknown names are probably names of videos or samples.
    """
    names = reading.names(GENERATOR)
    return 0 < len(names) <= MOST_UNKNOWN_GENERATORS or known_generators(reading)


def separate_names(reading: Reading) -> bool:
    """Return whether no source of photographs has the name of a generator."""
    return reading.names(SOURCE).isdisjoint(reading.names(GENERATOR))


def no_known_categories(reading: Reading) -> bool:
    """Return whether categories do not outnumber known generators among the generator names."""
    return reading.n_known >= 0


def common_categories(reading: Reading) -> bool:
    """Return whether at least one category has images of both classes."""
    return not reading.names(CATEGORY, REAL).isdisjoint(reading.names(CATEGORY, FAKE))


def pairs_of_videos(names: Sequence[Sequence[str]]) -> list[str]:
    """Group the videos of FaceForensics++ by the pair of originals that they belong to.

    The manipulated video ``000_003`` shows the original ``000`` with the face of ``003``, so images
    of all three belong in one fold.

    Examples
    --------
    >>> pairs_of_videos([("youtube", "000.mp4"), ("Deepfakes", "003_000.mp4"), ("x", "1234.mp4")])
    ['000_003', '000_003', '']
    """
    form = re.compile(r"(\d{3})(?:_(\d{3}))?(?:\.\w+)?")
    numbers = [next(filter(None, map(form.fullmatch, parts)), None) for parts in names]
    pairs: dict[str, str] = {}
    for number in numbers:
        if number and number[2]:
            first, second = sorted((number[1], number[2]))
            pairs[first] = pairs[second] = f"{first}_{second}"
    return [pairs.get(number[1], number[1]) if number else "" for number in numbers]


@dataclass(frozen=True)
class Layout:
    """One row of the table of layouts.

    Parameters
    ----------
    name : str
        Name of the data set, or of the form of its folders.
    published : str
        Where it was published, or an example.
    real, fake : tuple of str
        Patterns of the folders of photographs and of generated images. The first pattern that
        matches a path gives its class. The patterns of photographs are tried first.
    needs : tuple of callable
        Conditions on the names in all paths.
    generator : str
        Generator of the images whose pattern gives no generator.
    one_class : bool
        Whether the row also matches a source with images of only one class.
    group : callable, optional
        Returns the group of each path.
    """

    name: str
    published: str
    real: tuple[str, ...]
    fake: tuple[str, ...]
    needs: tuple[Condition, ...] = ()
    generator: str = ""
    one_class: bool = False
    group: Callable[[Sequence[Sequence[str]]], list[str]] | None = None


LAYOUTS = (
    Layout(
        "FaceForensics++",
        "Rössler et al., 2019",
        real=("**/original_sequences/{source}/{compression}/**",),
        fake=("**/manipulated_sequences/{generator}/{compression}/**",),
        one_class=True,
        group=pairs_of_videos,
    ),
    Layout(
        "Celeb-DF",
        "Li et al., 2020",
        real=("**/{source}-real/**",),
        fake=("**/Celeb-synthesis/**",),
    ),
    Layout(
        "GenImage",
        "Zhu et al., 2023",
        real=("**/imagenet_ai_*_{generator}/nature/**", "**/imagenet_{generator}/nature/**"),
        fake=("**/imagenet_ai_*_{generator}/ai/**", "**/imagenet_{generator}/ai/**"),
    ),
    Layout(
        "UniversalFakeDetect",
        "Ojha et al., 2023: photographs in other folders than the generated images",
        real=("{set}/{source}/0_real/**",),
        fake=("{set}/{generator}/1_fake/**",),
        needs=(separate_names, no_known_categories),
    ),
    Layout(
        "ForenSynths",
        "Wang et al., 2020: generator/category/0_real, and the training set of ProGAN images",
        real=("{set}/{category:progan}/0_real/**", "{set}/{generator}/{category*}/0_real/**"),
        fake=("{set}/{category:progan}/1_fake/**", "{set}/{generator}/{category*}/1_fake/**"),
        needs=(has_categories,),
        generator="progan",
        one_class=True,
    ),
    Layout(
        "AIGIBench",
        "Li et al., 2025: generator/0_real",
        real=("{set}/{generator}/0_real/**",),
        fake=("{set}/{generator}/1_fake/**",),
        one_class=True,
    ),
    Layout(
        "generators below the fake images",
        "fake/generator, and real/source",
        real=("{set}/<real>/{source?}/**",),
        fake=("{set}/<fake>/{generator?}/**",),
        needs=(in_one_set, separate_names, few_or_known_generators),
    ),
    Layout(
        "classes above categories",
        "real/category and fake/category",
        real=("{set}/<real>/{category}/**",),
        fake=("{set}/<fake>/{category}/**",),
        needs=(in_one_set, common_categories),
    ),
    Layout(
        "classes below generators",
        "generator/real and generator/fake",
        real=("{set}/{generator}/{category*}/<real>/**", "<real>/**"),
        fake=("{set}/{generator}/{category*}/<fake>/**", "<fake>/**"),
        needs=(has_generators,),
    ),
    Layout(
        "two classes",
        "real and fake",
        real=("<real>/**",),
        fake=("<fake>/**",),
    ),
    Layout(
        "DIRE",
        "Wang et al., 2023: category/real beside category/generator",
        real=("{set}/{category}/real/**",),
        fake=("{set}/{category}/{generator}/**",),
        needs=(known_generators,),
    ),
    Layout(
        "generators beside the photographs",
        "real beside generators, as in one category of DIRE",
        real=("{set}/real/**",),
        fake=("{set}/{generator}/**",),
        needs=(in_one_set, known_generators),
    ),
    Layout(
        "DMimageDetection",
        "Corvi et al., 2023: real_source beside generators",
        real=("{set}/real_{source}/**",),
        fake=("{set}/{generator}/**",),
        needs=(known_generators,),
    ),
    Layout(
        "generators and collections of photographs",
        "Synthbuster (Bammey, 2023) with RAISE, DRCT-2M (Chen et al., 2024) with COCO",
        real=("**/{source:photographs}/**",),
        fake=("{set}/{generator}/**",),
        needs=(known_generators,),
    ),
)  # fmt: skip
"""The layouts, in the order in which they are tried."""
