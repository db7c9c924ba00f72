"""Names of the parts of a data set's official split."""

SPLIT = "split"
"""Column with the official split of a data set."""

PART_NAMES = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "eval"), "test"),
}
"""Parts by the lower-case spellings that data sets use for them."""


def official_part(name: str) -> str:
    """Return ``"train"``, ``"val"`` or ``"test"`` for a spelling in any case, else ``""``.

    Examples
    --------
    >>> official_part("Training"), official_part(" dev"), official_part("cat")
    ('train', 'val', '')
    """
    return PART_NAMES.get(name.strip().lower(), "")
