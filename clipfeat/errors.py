"""The exceptions of clipfeat, in one tree.

::

    ClipfeatError
    ├── UsageError (ValueError)              the call is invalid: change it
    │   ├── UnknownNameError                 no such encoder, classifier, metric, column, ...
    │   └── OutputExistsError (FileExistsError)
    ├── DataError (ValueError)               the call is valid, but not for this data
    │   ├── EmptySourceError                 no image in a source
    │   ├── LabelError                       no labels, one class, or too few of a class
    │   └── JoinError                        feature files of different images
    ├── ImageError                           one image; the run records it and continues
    │   ├── ReadError (OSError)              its bytes cannot be read
    │   ├── DecodeError (OSError)            its bytes are not a complete image
    │   └── NoFaceError (LookupError)        no face detected
    ├── EncodingError (ArithmeticError)      an image cannot be encoded
    ├── WeightsError (OSError)               pretrained weights missing or of another architecture
    ├── HubError (ConnectionError)           the hub is unreachable or refuses the request
    ├── MissingExtraError (ImportError)      an optional dependency is not installed
    ├── StorageError (OSError)               the disk failed; committed rows are safe
    │   └── LockedError                      another process is writing the same file
    └── RefusedFileError (ValueError)        a file that is damaged, of another format or untrusted
        └── FingerprintError                 features of another encoder

Most classes also derive from the built-in exception in parentheses, so that callers can catch them
without importing clipfeat. A message gives the expected and the actual value, the place, and the
remedy. The library raises exceptions. Only the command line exits the process.
"""

from collections.abc import Iterable
from difflib import get_close_matches

MAX_NAME = 200
"""Maximum number of characters of an unknown name in a message."""


class ClipfeatError(Exception):
    """Base class of all exceptions that clipfeat raises deliberately."""


class ClipfeatWarning(UserWarning):
    """Valid but noteworthy condition. The command line prints it as one line."""


class UsageError(ClipfeatError, ValueError):
    """Invalid call. The caller must change it."""


class UnknownNameError(UsageError):
    """Name that is not in the registry, the table or the file."""


class OutputExistsError(UsageError, FileExistsError):
    """Output path that already exists, although overwriting was not requested."""


class DataError(ClipfeatError, ValueError):
    """Valid call that cannot be carried out on the given data."""


class EmptySourceError(DataError):
    """Source without images."""


class LabelError(DataError):
    """Labels that are missing, too few, or all of one class."""


class JoinError(DataError):
    """Feature files that hold different images and cannot be joined."""


class ImageError(ClipfeatError):
    """One unusable image. It is recorded, and the run continues."""


class ReadError(ImageError, OSError):
    """Image whose bytes cannot be read."""


class DecodeError(ImageError, OSError):
    """Bytes that are not a complete image."""


class NoFaceError(ImageError, LookupError):
    """Image without a detected face, although faces were requested."""


class HubError(ClipfeatError, ConnectionError):
    """Model hub that is unreachable or refuses the request."""


class EncodingError(ClipfeatError, ArithmeticError):
    """Image that cannot be encoded, for example because its features are not finite."""


class WeightsError(ClipfeatError, OSError):
    """Pretrained weights that are missing or do not match the architecture."""


class MissingExtraError(ClipfeatError, ImportError):
    """Optional dependency that is not installed."""


class StorageError(ClipfeatError, OSError):
    """Failure of a disk or an object store. Rows committed before the failure are safe."""


class LockedError(StorageError):
    """Feature file that another process is writing."""


class RefusedFileError(ClipfeatError, ValueError):
    """File that is damaged, of another format or not trusted."""


class FingerprintError(RefusedFileError):
    """Features of a different encoder than the expected one."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Create the exception for an unknown name, with the nearest known names.

    Parameters
    ----------
    kind : str
        Kind of thing that the name refers to, for example ``"classifier"``.
    name : str
        The unknown name.
    known : iterable of str
        The valid names. The message lists them if there are at most twenty.

    Returns
    -------
    UnknownNameError
        The exception, to be raised by the caller.

    Examples
    --------
    >>> print(unknown_name("classifier", "logrge", ["knn", "logreg"]))
    unknown classifier 'logrge'; did you mean logreg? Known: knn, logreg
    """
    if len(name) > MAX_NAME:  # a name from a file may fill the terminal
        name = f"{name[:MAX_NAME]}…"
    names = sorted(set(known))
    near = get_close_matches(name, names, n=5, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else "."
    listed = f" Known: {', '.join(names) or 'none'}" if len(names) <= 20 else ""
    remedy = "" if near or listed else " Check the spelling"
    return UnknownNameError(f"unknown {kind} {name!r}{hint}{listed}{remedy}")


def missing_extra(purpose: str, library: str, extra: str) -> MissingExtraError:
    """Create the exception for a missing library, with the command that installs it.

    Parameters
    ----------
    purpose : str
        Activity that needs the library, for example ``"reading videos"``.
    library : str
        Name of the library.
    extra : str
        Name of clipfeat's extra that installs the library.

    Returns
    -------
    MissingExtraError
        The exception, to be raised by the caller.

    Examples
    --------
    >>> print(missing_extra("reading videos", "PyAV", "video"))
    reading videos needs PyAV, which is not installed. Run: pip install 'clipfeat[video]'
    """
    return MissingExtraError(
        f"{purpose} needs {library}, which is not installed. Run: pip install 'clipfeat[{extra}]'"
    )
