"""Names of the parts of a data set's official split."""

import re

SPLIT = "split"
"""Column with the official split of a data set."""

PART_NAMES = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "eval"), "test"),
}
"""The part for each spelling that data sets use, in lower case."""


def official_part(name: str) -> str:
    """Return the part that a name stands for: ``"train"``, ``"val"``, ``"test"`` or ``""``.

    Case is ignored. The name may end in a year, as in the folders of COCO.

    Examples
    --------
    >>> official_part("Training"), official_part(" dev"), official_part("cat")
    ('train', 'val', '')
    >>> official_part("val2017"), official_part("train1")
    ('val', '')
    """
    return PART_NAMES.get(re.sub(r"(?<=[a-z])(19|20)\d\d$", "", name.strip().lower()), "")
