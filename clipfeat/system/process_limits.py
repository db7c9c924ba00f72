"""Limits of a child process that runs native code on files of unknown origin."""

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

ONE_THREAD: Mapping[str, str] = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
"""Environment variables for a child in which NumPy uses one thread. More threads would take address
space."""


def child_environment() -> dict[str, str]:
    """Return the environment of a child that imports from the same folders as this process."""
    path = os.pathsep.join(entry or os.curdir for entry in sys.path)
    return {**os.environ, **ONE_THREAD, "PYTHONPATH": path}


def limit_memory(memory: int) -> None:
    """Limit the address space, and let the OOM killer end this process before all others.

    Parameters
    ----------
    memory : int
        Limit in bytes. A lower limit of the parent stays in force.
    """
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    with suppress(ImportError, OSError, ValueError):  # Windows has no limits, macOS may refuse
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        soft = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def ending(code: int) -> str:
    """Describe the exit code of a child, which is negative for a signal.

    Examples
    --------
    >>> ending(1), ending(-11)
    ('exit code 1', 'signal SIGSEGV')
    """
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"
