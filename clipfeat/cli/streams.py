"""Standard streams that are closed, full, or read by a process that ends early."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

OUTPUT_FAILED = 4
"""Exit code if standard output cannot be written. The code for files is the same."""


def open_closed_streams() -> None:
    """Replace closed standard streams by the null device. For example, ``>&-`` closes a stream.

    Otherwise the next file that is opened would get the descriptor of the closed stream, and
    messages of libraries would be written into this file.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free descriptor
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def discard_output() -> None:
    """Discard further standard output. Otherwise, the flush at exit would fail again."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


@contextmanager
def reports_failed_output() -> Iterator[None]:
    """Flush standard output after the block. If this fails, print one line and exit.

    A reader that has read enough, as in ``| head -1``, is not an error.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
        sys.exit(0)
    except OSError as error:
        discard_output()
        with suppress(OSError):
            print(f"error: standard output cannot be written: {error.strerror}", file=sys.stderr)
        sys.exit(OUTPUT_FAILED)
