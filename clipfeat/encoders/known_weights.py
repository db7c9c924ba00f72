"""Paths of local weight files by digest, so that a user passes each file only once.

`clipfeat.embed` and `clipfeat.predict` write a note in the user's cache folder when they have
loaded a local file of weights. Later, an encoder with the same digest is opened from that file.
Feature and model files contain only the digest and the name of the weight file, because they may
come from somebody else. A path in such a file is never opened.
"""

import json
from contextlib import suppress
from pathlib import Path

from clipfeat.errors import StorageError
from clipfeat.system.file_stats import file_stat
from clipfeat.system.files import publish, read_regular
from clipfeat.system.user_cache import user_cache

MAX_NOTE = 2**16
"""Maximum size of a note in bytes."""
HEXADECIMAL = frozenset("0123456789abcdef")


def remember_weights(digest: str, file: str | Path) -> None:
    """Note the path of a local file of weights. If the note cannot be written, do nothing.

    Parameters
    ----------
    digest : str
        Digest of the state dict, as in `clipfeat.spec.EncoderSpec`.
    file : path
        The file of weights.
    """
    path = Path(file).absolute()
    note = {"path": str(path), "stat": file_stat(str(path))}
    with suppress(StorageError, OSError, ValueError, RuntimeError):  # there may be no home folder
        target = _note(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        publish(json.dumps(note).encode(), target)


def remembered_weights(digest: str) -> Path | None:
    """Return the noted file of the weights with this digest, or None if no file was noted.

    A file that has changed since the note was written is not returned. The caller must still
    compare the digest of the loaded weights.
    """
    with suppress(OSError, ValueError, KeyError, TypeError, RuntimeError):
        note = json.loads(read_regular(_note(digest), MAX_NOTE))
        stat = file_stat(note["path"])
        if stat is not None and list(stat) == note["stat"]:
            return Path(note["path"])
    return None


def _note(digest: str) -> Path:
    if not digest or not set(digest) <= HEXADECIMAL:  # a digest from a file is part of a path here
        raise ValueError(digest)
    return user_cache() / "weights" / f"{digest}.json"
