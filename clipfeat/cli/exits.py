"""How errors become exit codes, and nothing else does.

0 done · 1 error · 2 usage · 3 done, with more failed images than ``--max-bad`` allows · 4 storage
(what is committed is safe) · 5 locked by another writer · 6 file refused · 7 ``audit`` found a leak
· 130 interrupted.
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
    """The exit code of an error: that of the first of its classes in the table."""
    return next(code for kind, code in _CODES if isinstance(error, kind))


def reports_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Make a command end in one line on standard error and an exit code, never a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with warnings.catch_warnings():
            # Third parties' warnings are for their developers; ours are for whoever types.
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", ClipfeatWarning)
            warnings.showwarning = _print_warning
            try:
                return command(*args, **kwargs)
            except ClipfeatError as error:
                say(f"error: {error}")
                raise typer.Exit(exit_code(error)) from error
            except KeyboardInterrupt as error:
                say("interrupted")
                raise typer.Exit(INTERRUPTED) from error
            except BrokenPipeError as error:
                # Whoever read our output has had enough; the flush at exit would say so again.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(0) from error
            except OSError as error:
                say(f"error: {error}")
                raise typer.Exit(exit_code(StorageError())) from error

    return run


def say(line: str) -> None:
    """Print one line on standard error."""
    print(" ".join(line.split("\n")), file=sys.stderr)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Handle a signal as Ctrl-C is handled."""
    raise KeyboardInterrupt


def _print_warning(message: Warning | str, *_: object, **__: object) -> None:
    say(f"warning: {message}")
