"""Files that a source skips because they are not images, counted by kind.

The kind is the suffix, such as ``.heic``, or a text such as ``"no suffix"`` or ``"hidden"``. Hidden
files are those that operating systems add: names that start with a dot, ``Thumbs.db``, and the
AppleDouble files ``._x.jpg`` and ``__MACOSX/`` of macOS. Hidden folders are not searched, and
their files are not counted.
"""

from collections.abc import Callable, Mapping, Sequence

from clipfeat.images.formats import (
    HEAD_BYTES,
    image_suffixes,
    plugin_format,
    recognise,
)
from clipfeat.images.member_names import suffix_of
from clipfeat.images.video import VIDEO_SUFFIXES

HIDDEN = "hidden"
NO_SUFFIX = "no suffix"
BROKEN_LINK = "broken link"
WITHOUT_PATH = "row without a path"
UNPAIRED = "row of labels without an image"
REPEATED = "repeated member"
SIDECAR = "side-car without an image"
DAMAGED_HEADER = "damaged tar header"
MOST_KINDS = 20
LOOP = "link to a folder above"
REPEATED_FOLDER = "repeated folder"

_SYSTEM_NAMES = frozenset({"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin"})
_NEVER_IMAGES = frozenset({
    ".cls", ".csv", ".gz", ".h5", ".hdf5", ".html", ".ini", ".json", ".jsonl", ".log", ".md",
    ".npy", ".npz", ".parquet", ".pdf", ".pickle", ".pkl", ".pt", ".pth", ".py", ".safetensors",
    ".tar", ".toml", ".tsv", ".txt", ".xml", ".yaml", ".yml", ".zip",
})  # fmt: skip
"""Suffixes whose files are not opened to look for an image."""


def is_hidden(parts: Sequence[str]) -> bool:
    """Return whether a file or folder was added by the system or is hidden.

    Parameters
    ----------
    parts : sequence of str
        Parts of the path below the source.

    Examples
    --------
    >>> is_hidden(["a", "._1.jpg"]), is_hidden(["__MACOSX", "1.jpg"]), is_hidden([".", "1.jpg"])
    (True, True, False)
    """
    return any(
        (part.startswith(".") and part not in {".", ".."}) or part.lower() in _SYSTEM_NAMES
        for part in parts
    )


def skipped_kind(name: str, read_head: Callable[[], bytes]) -> str:
    """Return the kind under which a file is skipped, or an empty string for an image or video.

    If the suffix is missing or unknown, as in ``1.jpg?size=large``, the first bytes show whether
    the file is an image.

    Parameters
    ----------
    name : str
        Name of the file.
    read_head : callable
        Returns the first `HEAD_BYTES` of the file. It is called only if the suffix is unknown.
    """
    suffix = suffix_of(name)
    if suffix in image_suffixes() or suffix in VIDEO_SUFFIXES:
        return ""
    if suffix in _NEVER_IMAGES or plugin_format(suffix):
        return suffix
    recognised = recognise(read_head()[:HEAD_BYTES])
    if recognised in image_suffixes():
        return ""
    if recognised:
        return recognised
    extension = suffix[1:]
    is_plain = extension.isascii() and extension.isalnum() and not extension.isdecimal()
    return suffix if is_plain and len(extension) <= 10 else NO_SUFFIX


def skipped_text(skipped: Mapping[str, int]) -> str:
    """Format the number of skipped files, and name the extra that reads some of them.

    Examples
    --------
    >>> skipped_text({".heif2": 4, "hidden": 1})
    '5 files skipped: 4 .heif2, 1 hidden'
    >>> skipped_text({})
    ''
    """
    if not skipped:
        return ""
    total = sum(skipped.values())
    kinds = sorted(skipped.items(), key=lambda item: (-item[1], item[0]))
    shown, others = kinds[:MOST_KINDS], kinds[MOST_KINDS:]
    listed = ", ".join(f"{n} {kind}" for kind, n in shown)
    if others:
        listed += f", {sum(n for _, n in others)} of {len(others)} other kinds"
    text = f"{total} {'file' if total == 1 else 'files'} skipped: {listed}"
    readable = sorted(kind for kind in skipped if plugin_format(kind))
    if readable:
        text += f". To read {' and '.join(readable)}, run: pip install 'clipfeat[formats]'"
    return text
