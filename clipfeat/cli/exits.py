"""Exit codes. Only this module converts an error to an exit code.

- 0: success.
- 1: any other error.
- 2: invalid options or arguments.
- 3: success, but more images failed than ``--max-bad`` allows.
- 4: a file cannot be written or read. Committed rows are safe.
- 5: the feature file is locked by another writer.
- 6: a file is damaged, or is not of the expected kind.
- 7: ``clipfeat audit`` found a leak.
- 130: interrupted.
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import ParamSpec, TypeVar

import typer

from clipfeat.cli.streams import discard_output
from clipfeat.errors import (
    ClipfeatError,
    ClipfeatWarning,
    LockedError,
    RefusedFileError,
    StorageError,
    UsageError,
)
from clipfeat.system.escaping import MAX_LINE, MAX_MESSAGE, terminal_text, without_middle
from clipfeat.system.memory import address_space_limit

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
    """Return the exit code of an error."""
    return next(code for kind, code in _CODES if isinstance(error, kind))


def exit_on_failures(n_failures: int, max_bad: int | None) -> None:
    """Exit with code 3 if more images failed than ``--max-bad`` allows."""
    if max_bad is not None and n_failures > max_bad:
        raise typer.Exit(TOO_MANY_BAD)


def reports_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Decorate a command so that an error prints one line and sets the exit code.

    No traceback is printed.
    """

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with warnings.catch_warnings():
            # Warnings of other packages are meant for developers, not for users of this command.
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", ClipfeatWarning)
            warnings.showwarning = _print_warning
            try:
                return command(*args, **kwargs)
            except ClipfeatError as error:
                print_error_line(f"error: {error}")
                raise typer.Exit(exit_code(error)) from error
            except KeyboardInterrupt as error:
                print_error_line(". ".join(["interrupted", *map(str, error.args)]))
                raise typer.Exit(INTERRUPTED) from error
            except BrokenPipeError as error:  # the reader has read enough, as in `| head -1`
                discard_output()
                raise typer.Exit(0) from error
            except OSError as error:
                print_error_line(f"error: {error}")
                raise typer.Exit(exit_code(StorageError())) from error
            except (MemoryError, ImportError) as error:
                limit = address_space_limit()
                if limit is None and isinstance(error, ImportError):
                    _print_missing_library(error)
                    raise typer.Exit(exit_code(ClipfeatError())) from error
                print_error_line(f"error: {_memory_text(error, limit)}")
                raise typer.Exit(exit_code(ClipfeatError())) from error

    return run


def _print_missing_library(error: ImportError) -> None:
    """Print the name of a missing library. Raise any other import error, which is a bug."""
    if not isinstance(error, ModuleNotFoundError) or (error.name or "").startswith("clipfeat"):
        raise error
    print_error_line(
        f"error: the library {error.name} is not installed. Run: pip install 'clipfeat[all]'"
    )


def _memory_text(error: BaseException, limit: int | None) -> str:
    if limit is None:
        return f"there is not enough memory ({error}). Close other programs, or use smaller batches"
    return (
        f"the address space of this process is limited to {limit / 2**30:.1f} GiB, and clipfeat "
        f"needs about 4 GiB ({error}). Raise the limit with ulimit -v"
    )


@contextmanager
def explains_resuming(hint: str) -> Iterator[None]:
    """Add a sentence on how to resume to the message of an interrupted command."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(hint) from error


def print_error_line(line: str) -> None:
    """Print one line on standard error. The middle of a line above `MAX_MESSAGE` is left out."""
    text = terminal_text(" ".join(line.split("\n")))
    with suppress(OSError):  # the terminal may be closed
        print(without_middle(text, MAX_MESSAGE), file=sys.stderr)


def print_line(line: object) -> None:
    """Print one line on standard output. Control characters become escapes.

    The middle of a line above `MAX_LINE` is left out.
    """
    print(without_middle(terminal_text(str(line)), MAX_LINE))


def report_stopping() -> None:
    """Print that the command is stopping, for a user who presses Ctrl-C again.

    A signal may arrive while Python writes to standard error, so Python's buffer is not used.
    """
    with suppress(OSError):
        os.write(2, b"stopping: finished work is being saved\n")


def _print_warning(message: Warning | str, *_: object, **__: object) -> None:
    print_error_line(f"warning: {message}")
