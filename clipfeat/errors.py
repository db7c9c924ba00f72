"""What can go wrong, as one tree.

::

    ClipfeatError
    ├── UsageError (ValueError)              what was asked for cannot be: change the call
    │   ├── UnknownNameError                 no such encoder, classifier, metric, column, ...
    │   └── OutputExistsError (FileExistsError)
    ├── DataError (ValueError)               the data cannot carry what was asked for
    │   ├── EmptySourceError                 no image where images were expected
    │   ├── LabelError                       no labels, one class, too few of a class
    │   └── JoinError                        feature files that hold different images
    ├── ImageError                           one image; recorded, never ends a run
    │   ├── ReadError (OSError)              its bytes cannot be had
    │   ├── DecodeError (OSError)            its bytes are no image, or not a whole one
    │   └── NoFaceError (LookupError)        no face where one was wanted
    ├── EncodingError (ArithmeticError)      an encoder's output that may not be stored
    ├── WeightsError (OSError)               pretrained weights that are missing or do not fit
    ├── HubError (ConnectionError)           the hub cannot be reached, or refuses
    ├── MissingExtraError (ImportError)      an optional dependency is not installed
    ├── StorageError (OSError)               the disk failed; what was committed is safe
    ├── LockedError (StorageError)           another process is writing the same file
    └── RefusedFileError (ValueError)        a file that is damaged, foreign or not trusted
        └── FingerprintError                 features of another encoder

Each class is also the builtin that a caller unaware of clipfeat would catch. A message says what
was expected and what came, where, and what to do. Libraries raise; only the command line exits.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class ClipfeatError(Exception):
    """Everything that clipfeat raises on purpose."""


class ClipfeatWarning(UserWarning):
    """Something that is allowed and worth knowing; the command line prints it as one line."""


class UsageError(ClipfeatError, ValueError):
    """What was asked for cannot be; the call must change."""


class UnknownNameError(UsageError):
    """A name that is not among the known ones."""


class OutputExistsError(UsageError, FileExistsError):
    """An output path that is taken, where nothing was said about replacing it."""


class DataError(ClipfeatError, ValueError):
    """The data cannot carry what was asked for."""


class EmptySourceError(DataError):
    """No image where images were expected."""


class LabelError(DataError):
    """Labels that are missing, of one class only, or too few."""


class JoinError(DataError):
    """Feature files that cannot be joined by image."""


class ImageError(ClipfeatError):
    """One image that cannot be used; recorded, never ends a run."""


class ReadError(ImageError, OSError):
    """An image whose bytes cannot be had."""


class DecodeError(ImageError, OSError):
    """Bytes that are no image, or not a whole one."""


class NoFaceError(ImageError, LookupError):
    """An image in which no face was found, where one was wanted."""


class HubError(ClipfeatError, ConnectionError):
    """The hub cannot be reached, or refuses."""


class EncodingError(ClipfeatError, ArithmeticError):
    """An encoder's output that may not be stored: not finite."""


class WeightsError(ClipfeatError, OSError):
    """Pretrained weights that are missing or do not fit the architecture."""


class MissingExtraError(ClipfeatError, ImportError):
    """An optional dependency that is not installed."""


class StorageError(ClipfeatError, OSError):
    """The disk failed; whatever was committed before is safe."""


class LockedError(StorageError):
    """Another process is writing the same feature file."""


class RefusedFileError(ClipfeatError, ValueError):
    """A file that is damaged, foreign or not trusted."""


class FingerprintError(RefusedFileError):
    """Features of one encoder where those of another were expected."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Make the error for a name that is not known: the nearest ones first, then all.

    Parameters
    ----------
    kind : str
        What the name should have named, as a reader would say it: ``"classifier"``.
    name : str
        What came.
    known : iterable of str
        What would have been accepted; listed whole up to twenty names.

    Examples
    --------
    >>> print(unknown_name("classifier", "logrge", ["knn", "logreg"]))
    unknown classifier 'logrge'; did you mean logreg? Known: knn, logreg
    """
    names = sorted(set(known))
    near = get_close_matches(name, names, n=5, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else ";"
    listed = f" Known: {', '.join(names)}" if len(names) <= 20 else ""
    return UnknownNameError(f"unknown {kind} {name!r}{hint}{listed}".rstrip(";"))


def missing_extra(purpose: str, library: str, extra: str) -> MissingExtraError:
    """Make the error for a library that is not installed, with the line that installs it.

    Examples
    --------
    >>> print(missing_extra("reading videos", "PyAV", "video"))
    reading videos needs PyAV, which is not installed: pip install 'clipfeat[video]'
    """
    return MissingExtraError(
        f"{purpose} needs {library}, which is not installed: pip install 'clipfeat[{extra}]'"
    )
