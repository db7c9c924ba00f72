"""The file ``labels.csv`` beside a feature file, to which decisions are appended.

Each line is one decision (see `clipfeat.features.decisions`). Lines are never changed or removed.
The file may be opened in a spreadsheet, so fields that look like formulas start with an apostrophe.
A file of an earlier version has no column for content hashes. New lines of such a file do not have
them either, because the header cannot change while another process may append to the file.

Several processes may append to one file. Each of them holds a lock of the file while it writes
whole lines and flushes them to the disk. If a computer stops during the write, the last line may be
cut off. It is left out when the file is read, and the next process that appends removes it.
"""

import csv
import io
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import portalocker

from clipfeat.errors import LockedError, RefusedFileError, StorageError, UsageError
from clipfeat.features.decisions import (
    CLASS,
    COLUMNS,
    LABEL,
    OLD_COLUMNS,
    UNDO,
    ClassRecord,
    Decision,
    class_records_of,
    decisions_of,
    is_table_of_decisions,
)
from clipfeat.features.text_tables import text_rows
from clipfeat.system.escaping import MAX_TEXT, spreadsheet_text, terminal_text
from clipfeat.system.files import read_regular, storage_errors
from clipfeat.system.locations import is_remote

FILE_NAME = "labels.csv"
SECONDS = 10.0
"""Seconds to wait for the lock, which other processes hold for milliseconds."""
HEADER = (",".join(COLUMNS) + "\n").encode()
OLD_HEADER = (",".join(OLD_COLUMNS) + "\n").encode()
_ENDS = tuple(f",{kind}".encode() for kind in (LABEL, UNDO, CLASS))
"""Ends of complete lines."""
_BREAK = re.compile("[\\r\\n\\0]")
MAX_LINE = 2**19
"""Maximum size of a line in bytes. Each of three names has up to `MAX_TEXT` bytes, and quotes in
names are doubled."""


def labels_beside(features: str | Path) -> Path:
    """Return the file of decisions beside a feature file.

    Raises
    ------
    UsageError
        If the feature file is on an object store, where nothing can be appended to a file.

    Examples
    --------
    >>> labels_beside("run/out.h5").as_posix()
    'run/labels.csv'
    """
    if is_remote(features):
        raise UsageError(
            f"{features} is on an object store, and labels can be appended to local files only. "
            "Pass a local file with --label-file"
        )
    return Path(features).with_name(FILE_NAME)


def now() -> str:
    """Return the current time in the form of `Decision.decided_at`."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def checked_name(text: str, kind: str) -> str:
    """Return the name of a class or person without outer spaces.

    Raises
    ------
    UsageError
        If it is empty, too long, or has control characters.

    Examples
    --------
    >>> checked_name(" cat ", "label")
    'cat'
    """
    name = text.strip()
    size = len(name.encode("utf-8", "replace"))
    if not name or size > MAX_TEXT or terminal_text(name) != name:
        raise UsageError(
            f"the {kind} {name[:40]!r} is empty, longer than {MAX_TEXT} bytes, or has "
            "control characters. Choose another one"
        )
    return name


def check_label_file(file: str | Path) -> None:
    """Check that decisions can be appended to a file. The file is not created.

    Raises
    ------
    RefusedFileError
        If the file exists, but is not a file of decisions, or another program has saved it in
        another form.
    LockedError
        If another process holds the lock for more than `SECONDS`.
    StorageError
        If the file is a link, or if the file or its folder is read-only or does not exist.
    """
    path = Path(file)
    read_decisions(path)
    if path.exists() or path.is_symlink():
        with storage_errors(f"opening {path}"), _opened(path) as descriptor:
            _whole_size(descriptor, path)
    elif not os.access(path.absolute().parent, os.W_OK):
        raise StorageError(
            f"{path} cannot be written: its folder is read-only or does not exist. Pass another "
            "file with --label-file"
        )


def append_decisions(
    file: str | Path, decisions: Sequence[Decision], classes: Sequence[ClassRecord] = ()
) -> None:
    """Append decisions to a file, and return when they are on the disk.

    The file is created with its header if it does not exist.

    Parameters
    ----------
    file : path
        The file.
    decisions : sequence of Decision
        The decisions. A file of an earlier version does not keep their content hashes.
    classes : sequence of ClassRecord
        Classes to append before the decisions.

    Raises
    ------
    UsageError
        If the name of a class, a person or an image is empty or has a line break.
    RefusedFileError
        If the file is not a file of decisions.
    LockedError
        If another process holds the lock for more than `SECONDS`.
    StorageError
        If the file cannot be written. It is then unchanged.
    """
    rows = [*map(_class_row, classes), *map(_decision_row, decisions)]
    path = Path(file)
    with storage_errors(f"writing {path}"), _opened(path) as descriptor:
        size, before = _whole_size(descriptor, path)
        columns = OLD_COLUMNS if size and _is_old(descriptor) else COLUMNS
        lines = "".join(_line(row, columns) for row in rows).encode()
        try:
            os.ftruncate(descriptor, size)
            view = memoryview(before + lines)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
            if before == HEADER:  # a new file, whose name must be on the disk, too
                _sync_folder(path.absolute().parent)
        except OSError:
            os.ftruncate(descriptor, size)
            raise


def read_decisions(file: str | Path) -> list[Decision]:
    """Read the decisions of a file in the order of its lines. The list is empty without a file.

    Raises
    ------
    RefusedFileError
        If the file is not a file of decisions.
    """
    return decisions_of(_rows(Path(file)))


def read_classes(file: str | Path) -> list[ClassRecord]:
    """Read the classes that a file records, in the order of its lines. See `read_decisions`."""
    return class_records_of(_rows(Path(file)))


def has_content_hashes(file: str | Path) -> bool:
    """Return whether a file of decisions has or will have the content hashes of the images.

    Files of earlier versions have none.
    """
    path = Path(file)
    if not path.exists():
        return True
    with storage_errors(f"reading {path}"):
        return not read_regular(path).startswith(OLD_HEADER)


def _rows(path: Path) -> list[dict[str, str]]:
    """Read the complete lines of a file."""
    if not path.exists():
        return []
    with storage_errors(f"reading {path}"):
        rows = text_rows(read_regular(path), str(path))
    if not rows or not is_table_of_decisions(rows[0]):
        raise _not_decisions(path)
    header = rows[0]
    return [dict(zip(header, row, strict=True)) for row in rows[1:] if len(row) == len(header)]


def _decision_row(one: Decision) -> dict[str, str]:
    label = "" if one.is_undo else one.label
    names = (one.path, label, one.annotator)
    if not (one.path and one.annotator and (label or one.is_undo)) or _BREAK.search("".join(names)):
        raise UsageError(
            f"the decision about {one.path!r} has an empty label, annotator or path, or one with a "
            "line break. Choose another label or annotator, or rename the image"
        )
    return _row(names, one.key, UNDO if one.is_undo else LABEL, one.decided_at)


def _class_row(one: ClassRecord) -> dict[str, str]:
    return _row((one.features, one.label, one.annotator), "", CLASS)


def _row(names: Sequence[str], key: str, kind: str, time: str = "") -> dict[str, str]:
    fields = (*map(spreadsheet_text, names), time or now(), key, kind)
    return dict(zip(COLUMNS, fields, strict=True))


def _line(row: Mapping[str, str], columns: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([row[name] for name in columns])
    return out.getvalue()


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open a file for appending, and hold its lock."""
    if path.is_symlink():
        raise StorageError(f"{path} is a link. Pass the file itself with --label-file")
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o644)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise StorageError(f"{path} is not a regular file. Pass another file with --label-file")
        _lock(descriptor, path)
        yield descriptor
    finally:
        os.close(descriptor)  # releases the lock


def _lock(descriptor: int, path: Path) -> None:
    end = time.monotonic() + SECONDS
    while True:
        try:
            portalocker.lock(descriptor, portalocker.LOCK_EX | portalocker.LOCK_NB)
            return
        except portalocker.LockException as error:
            if time.monotonic() > end:
                raise LockedError(
                    f"another process has locked {path} for {SECONDS:.0f} seconds. Stop that "
                    "process, or pass another file with --label-file"
                ) from error
            time.sleep(0.005)


def _whole_size(descriptor: int, path: Path) -> tuple[int, bytes]:
    """Return the size of the complete lines of a file, and bytes to write before new lines."""
    size = os.fstat(descriptor).st_size
    head = _read(descriptor, 0, len(HEADER))
    if head != HEADER and not _is_old(descriptor):
        if HEADER.startswith(head) or OLD_HEADER.startswith(head):  # empty, or a cut-off header
            return 0, HEADER
        raise RefusedFileError(
            f"{path} is not a file of decisions as clipfeat writes it (expected the "
            f"first line {HEADER.decode().strip()!r}, got {head.decode(errors='replace')!r}). "
            "A spreadsheet may have saved it. Pass it with --labels, and a new file with "
            "--label-file"
        )
    tail = _read(descriptor, max(0, size - MAX_LINE), MAX_LINE)
    last = tail[tail.rfind(b"\n") + 1 :]
    if last.endswith(_ENDS):  # by an editor of text files
        return size, b"\n"
    return size - len(last), b""


def _is_old(descriptor: int) -> bool:
    return _read(descriptor, 0, len(OLD_HEADER)) == OLD_HEADER


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # Windows and some network drives cannot do this
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read(descriptor: int, start: int, size: int) -> bytes:
    os.lseek(descriptor, start, os.SEEK_SET)
    return os.read(descriptor, size)


def _not_decisions(path: Path) -> RefusedFileError:
    return RefusedFileError(
        f"{path} is not a file of decisions (expected the columns {', '.join(OLD_COLUMNS)}). Pass "
        "another file with --label-file"
    )
