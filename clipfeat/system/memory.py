"""The memory that is available to this process."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

GROUP = Path("/sys/fs/cgroup")


def available_memory() -> int:
    """Return the bytes that this process may still allocate.

    The result is the smallest of three values: the free memory of the machine, the unused part of
    the control group's limit, and the unused part of the process's resource limit. If the system
    does not report its free memory, half of its total memory is used instead.

    Examples
    --------
    >>> 0 < available_memory() < 2**60
    True
    """
    return max(min(_bounds()), 1)


def address_space_limit() -> int | None:
    """Return the limit of this process's address space in bytes, or None if there is no limit."""
    try:
        import resource
    except ImportError:  # Windows has no limits
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _bounds() -> Iterator[int]:
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                yield 1024 * int(line.split()[1])
    with suppress(OSError, ValueError):  # cgroup version 2; "max" (no limit) is not a number
        limit = int((GROUP / "memory.max").read_text())
        yield limit - int((GROUP / "memory.current").read_text()) + _cached()
    with suppress(OSError, ValueError):
        if (most := address_space_limit()) is not None:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            yield most - pages * os.sysconf("SC_PAGE_SIZE")
    share = 1 if Path("/proc/meminfo").exists() else 2
    yield os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // share


def _cached() -> int:
    """Return the bytes of cached file pages. They count as used, but the kernel can free them."""
    words = (line.split() for line in (GROUP / "memory.stat").read_text().splitlines())
    return next((int(value) for name, value in words if name == "inactive_file"), 0)
