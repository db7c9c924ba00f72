"""Decoding in child processes.

If the decoder crashes, hangs or needs too much memory, only the current image fails. The child
imports only Pillow and NumPy, and communicates through pipes.

`multiprocessing` is not used, for two reasons. It imports the caller's ``__main__`` again, so every
script would need a guard. Its pools fail as a whole if one worker dies.

The child sets an alarm for each time limit, and the system enforces it. A decoder that hangs
therefore ends even if the parent was killed. The limit of elapsed time is much longer than that of
processor time, because a suspended or busy machine also delays good images. On Windows, the
limits have no effect, but a crash still affects only one image.

Libraries such as libtiff print messages. The child's standard error is a file in memory. If an
image fails, the last line in this file becomes part of its error message.
"""

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader, BufferedWriter, FileIO
from threading import Lock
from types import TracebackType
from typing import Self, cast

import numpy as np

from clipfeat.errors import ClipfeatError, DecodeError
from clipfeat.images.decode import RGB, Decoded
from clipfeat.images.decoder_process import HEADER, READY, REQUEST, SHARED_BYTES
from clipfeat.system.process_limits import child_environment, ending

PIPE_BYTES = 2**20
ENDED = "the image was not decoded, because the run has ended"
KILLED = (-9, -15)
"""Exit codes of a child that was killed from outside, for example by the OOM killer."""
LATE = {-14: "s", -27: "s of processor time"}
"""Exit codes of a child that exceeded a time limit (SIGALRM and SIGPROF), and their units."""
ENVIRONMENT = {
    # With smaller values, glibc returns the memory of each image to the system. The system then has
    # to zero the memory for the next image.
    "MALLOC_MMAP_THRESHOLD_": str(2**26),
    "MALLOC_TRIM_THRESHOLD_": str(2**27),
}


@dataclass(frozen=True)
class Isolation:
    """A decoder and its limits.

    Parameters
    ----------
    decoder : str
        ``"module:function"`` of a function that takes bytes and a buffer and returns `Decoded`. For
        requests with a `least_side`, it also takes this argument.
    seconds : float
        Limit of the processor time for one image, in seconds.
    wall_seconds : float
        Limit of the elapsed time for one image, in seconds.
    memory : int
        Limit of the address space of each child, in bytes.
    """

    decoder: str = "clipfeat.images.decode:decode"
    seconds: float = 60.0
    wall_seconds: float = 600.0
    memory: int = 4 * 2**30


ISOLATED = Isolation()


@dataclass(frozen=True, eq=False)
class _Child:
    """A child process that decodes, the pipes to it, and its standard error."""

    process: subprocess.Popen[bytes]
    requests: BufferedWriter
    replies: BufferedReader
    shared: RGB
    errors: FileIO


class IsolatedDecoder:
    """A decoder that runs in child processes. Several threads may use it concurrently.

    Each concurrent call has its own child. If no child is idle, a new child is started. The decoder
    is a context manager. On exit, the children are killed, and pending calls raise `DecodeError`.

    Parameters
    ----------
    isolation : Isolation
        The decoder and its limits.
    """

    def __init__(self, isolation: Isolation = ISOLATED) -> None:
        self.isolation = isolation
        self._lock = Lock()
        self._idle: list[_Child] = []
        self._starting: list[_Child] = []
        self._all: set[_Child] = set()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._closed = True
            children = list(self._all)
        for child in children:
            child.process.kill()
        for child in children:
            _end(child)

    def warm_up(self, n: int) -> None:
        """Start children until there are `n`, without waiting until they can decode."""
        with self._lock:
            for _ in range(n - len(self._all)):
                child = _start(self.isolation)
                self._all.add(child)
                self._starting.append(child)

    @contextmanager
    def decoded(self, data: bytes, least_side: int = 0) -> Iterator[Decoded]:
        """Decode an image. Its pixels are valid only within the ``with`` block.

        Parameters
        ----------
        data : bytes
            A whole image file, or another request that the decoder accepts.
        least_side : int
            If positive, passed to the decoder, which may reduce the image.

        Yields
        ------
        Decoded
            The pixels and the format.

        Raises
        ------
        DecodeError
            If the image cannot be decoded, or if the child crashes or exceeds a limit.
        ClipfeatError
            If no child can be started.
        """
        child, decoded = self._decode(data, least_side, retry=True)
        try:
            yield decoded
        finally:
            self._idle.append(child)

    def _decode(self, data: bytes, least_side: int, *, retry: bool) -> tuple[_Child, Decoded]:
        """Decode an image. If the child was killed or exceeded a time limit, try another child."""
        child = self._take()
        _read_errors(child)  # discard the messages about the previous image
        try:
            return child, _request(child, data, least_side)
        except DecodeError as error:
            message = _last_error(child)
            self._idle.append(child)
            raise DecodeError(f"{error}{message}") from error.__cause__
        except MemoryError as error:
            child.process.kill()  # the child would wait for its pixels to be read
            self._drop(child)
            raise DecodeError("there is not enough memory for the pixels of the image") from error
        except (OSError, EOFError, ValueError) as error:
            code, message = self._drop(child)
            if not retry or code not in (*KILLED, *LATE):
                raise DecodeError(f"{self._reason(code)}{message}") from error
        return self._decode(data, least_side, retry=False)

    def _take(self, *, retry: bool = True) -> _Child:
        """Take an idle child that is alive, or start one."""
        with self._lock:
            if self._closed:
                raise DecodeError(ENDED)
            while self._idle:
                child = self._idle.pop()
                if child.process.poll() is None:
                    return child
                self._all.discard(child)
                _end(child)
            child = self._starting.pop() if self._starting else _start(self.isolation)
            self._all.add(child)
        # If the decoder does not start, the run ends, and no image is recorded as a failure.
        if child.replies.read(len(READY)) != READY:
            code, message = self._drop(child)
            if self._closed:
                raise DecodeError(ENDED)
            if retry and code in KILLED:
                return self._take(retry=False)
            raise ClipfeatError(
                f"the process of the decoder {self.isolation.decoder} does not start "
                f"({ending(code)}){message}"
            )
        return child

    def _drop(self, child: _Child) -> tuple[int, str]:
        """Remove a child. Return its exit code and its last message."""
        with self._lock:
            self._all.discard(child)
        return _end(child)

    def _reason(self, code: int) -> str:
        """Describe why a child ended, for an error message."""
        if code in LATE:
            limits = self.isolation
            limit = limits.wall_seconds if LATE[code] == "s" else limits.seconds
            return f"decoding took longer than the limit of {limit:g} {LATE[code]}"
        return f"the decoding process ended unexpectedly ({ending(code)})"


def default_workers() -> int:
    """Return the number of cores available to this process, plus one.

    With one more thread than cores, every core decodes while one thread resizes.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) + 1
    return (os.cpu_count() or 1) + 1


def _start(isolation: Isolation) -> _Child:
    descriptor, shared = _shared_memory()
    errors = _error_file()
    limits = isolation.seconds, isolation.wall_seconds, isolation.memory
    arguments = [isolation.decoder, *limits, descriptor]
    try:
        process = subprocess.Popen(
            # -P keeps the current directory out of `sys.path`.
            [sys.executable, "-P", "-m", "clipfeat.images.decoder_process", *map(str, arguments)],
            pass_fds=[descriptor] if descriptor >= 0 else [],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=child_environment() | ENVIRONMENT,
            process_group=0,  # Ctrl-C must not reach the child
        )
    except OSError as error:
        errors.close()
        raise ClipfeatError(
            f"no process can be started to decode images ({error.strerror}). Use fewer workers "
            "with --num-workers"
        ) from error
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    # Both pipes are buffered, so they read and write whole messages. typeshed declares IO[bytes].
    requests = cast(BufferedWriter, process.stdin)
    replies = cast(BufferedReader, process.stdout)
    with suppress(ImportError, AttributeError, OSError):  # Linux only, up to the user's limit
        import fcntl

        for pipe in (requests, replies):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return _Child(process, requests, replies, shared, errors)


def _shared_memory() -> tuple[int, RGB]:
    """Make memory to share with a child, and return its descriptor and its bytes.

    The memory is not in ``/dev/shm``, which may be full. If the system offers no such memory, as on
    macOS and Windows, the descriptor is -1.
    """
    no_memory: RGB = np.empty(0, dtype=np.uint8)
    if not hasattr(os, "memfd_create"):
        return -1, no_memory
    try:
        descriptor = os.memfd_create("clipfeat")
        os.ftruncate(descriptor, SHARED_BYTES)
        return descriptor, np.frombuffer(mmap.mmap(descriptor, SHARED_BYTES), dtype=np.uint8)
    except OSError:
        return -1, no_memory


def _error_file() -> FileIO:
    """Open a file in memory for a child's standard error.

    If the system offers no such files, the null device is opened instead.
    """
    with suppress(AttributeError, OSError):
        return FileIO(os.memfd_create("clipfeat-errors"), "r+")
    return FileIO(os.devnull, "r+")


def _read_errors(child: _Child) -> bytes:
    """Read and remove the messages that a child has printed."""
    with suppress(OSError, ValueError):  # another thread may have closed the file
        if not os.fstat(child.errors.fileno()).st_size:
            return b""
        child.errors.seek(0)  # the child shares this position
        data = child.errors.readall()
        child.errors.truncate(0)
        child.errors.seek(0)
        return data
    return b""


def _last_error(child: _Child) -> str:
    """Return the last line that a child printed, in parentheses, or an empty text."""
    lines = _read_errors(child).decode("utf-8", "backslashreplace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f" (the decoder printed: {last[:200]})" if last else ""


def _request(child: _Child, data: bytes, least_side: int) -> Decoded:
    child.requests.write(REQUEST.pack(len(data), least_side))
    child.requests.write(data)
    child.requests.flush()
    head = _exactly(child.replies, HEADER.size)
    decoded, is_shared, height, width, full_height, full_width, length = HEADER.unpack(head)
    full_size = full_height, full_width
    text = _exactly(child.replies, length).decode()
    if not decoded:
        raise DecodeError(text)
    if is_shared:
        size = height * width * 3
        return Decoded(child.shared[:size].reshape(height, width, 3), text, full_size)
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    if child.replies.readinto(pixels.reshape(-1).data) < pixels.nbytes:
        raise EOFError
    return Decoded(pixels, text, full_size)


def _exactly(pipe: BufferedReader, size: int) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _end(child: _Child) -> tuple[int, str]:
    """Wait for a child to end, and kill it after 5 s. Return its exit code and its last message."""
    try:
        code = child.process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        child.process.kill()
        code = child.process.wait()
    for pipe in (child.requests, child.replies):
        with suppress(OSError):
            pipe.close()
    last = _last_error(child)
    child.errors.close()
    return code, last
