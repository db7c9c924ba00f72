"""Exit codes. Only this module turns an error into an exit code.

0 success · 1 error · 2 usage · 3 success, but more images failed than ``--max-bad`` allows ·
4 storage (committed rows are safe) · 5 locked by another writer · 6 file refused · 7 ``audit``
found a leak · 130 interrupted.
"""

import os
import sys
import warnings
from collections.abc import Callable
from functools import wraps
from types import FrameType
from typing import ParamSpec, TypeVar

import typer

from clipfeat.errors import (
    ClipfeatError,
    ClipfeatWarning,
    LockedError,
    RefusedFileError,
    StorageError,
    UsageError,
)

TOO_MANY_BAD = 3
LEAK = 7
INTERRUPTED = 130
_CODES: tuple[tuple[type[ClipfeatError], int], ...] = (
    (UsageError, 2),
    (LockedError, 5),
    (StorageError, 4),
    (RefusedFileError, 6),
    (ClipfeatError, 1),
)

P = ParamSpec("P")
R = TypeVar("R")


def exit_code(error: ClipfeatError) -> int:
    """Return the exit code of the first class in the table that the error belongs to."""
    return next(code for kind, code in _CODES if isinstance(error, kind))


def exit_on_failures(n_failures: int, max_bad: int | None) -> None:
    """Exit with code 3 if more images failed than ``--max-bad`` allows."""
    if max_bad is not None and n_failures > max_bad:
        raise typer.Exit(TOO_MANY_BAD)


def reports_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Make a command end with one line on standard error and an exit code, without a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with warnings.catch_warnings():
            # Warnings of other packages address their developers, not the users of this command.
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", ClipfeatWarning)
            warnings.showwarning = _print_warning
            try:
                return command(*args, **kwargs)
            except ClipfeatError as error:
                print_error_line(f"error: {error}")
                raise typer.Exit(exit_code(error)) from error
            except KeyboardInterrupt as error:
                print_error_line("interrupted")
                raise typer.Exit(INTERRUPTED) from error
            except BrokenPipeError as error:
                # The reader closed the pipe. Without this, the flush at exit fails again.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(0) from error
            except OSError as error:
                print_error_line(f"error: {error}")
                raise typer.Exit(exit_code(StorageError())) from error

    return run


def print_error_line(line: str) -> None:
    """Print one line on standard error."""
    print(" ".join(line.split("\n")), file=sys.stderr)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Handle a signal like Ctrl-C."""
    raise KeyboardInterrupt


def _print_warning(message: Warning | str, *_: object, **__: object) -> None:
    print_error_line(f"warning: {message}")
