"""Decoding in processes of its own: what crashes, hangs or eats memory costs one image.

Plain pipes to a process that imports Pillow and NumPy alone, not `multiprocessing`: that would
import the caller's ``__main__`` again, which then needs a guard, and its pools fail as a whole
when one worker dies. The limit of time is the child's own alarm, which the system enforces, so
that a decoder that hangs ends in time even where the parent was killed. Windows has neither that
alarm nor the limit of memory; crashes are survived there too.
"""

import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader, BufferedWriter
from threading import Lock
from types import TracebackType
from typing import Self, cast

import numpy as np

from clipfeat.errors import ClipfeatError, DecodeError
from clipfeat.images.decode import RGB, Decoded
from clipfeat.images.decoder_process import HEADER, READY, SHARED_BYTES, SIZE

PIPE_BYTES = 2**20
ENDED = "not decoded: the run has ended"
KILLED = (-9, -15)
"""Endings by a signal that no decoder gives itself: where memory ends, the system sends it."""
ENVIRONMENT = {
    # Its decoders need one thread each; NumPy's pools would take address space from every one.
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    # glibc would give the memory of each image back to the system, and get it again zeroed.
    "MALLOC_MMAP_THRESHOLD_": str(2**26),
    "MALLOC_TRIM_THRESHOLD_": str(2**27),
}


@dataclass(frozen=True)
class Isolation:
    """What decodes, and within which limits.

    Parameters
    ----------
    decoder : str
        ``"module:function"``, from bytes, and room for pixels, to `Decoded`.
    seconds : float
        For one image; what takes longer is ended.
    memory : int
        Bytes of address space for each process that decodes.
    """

    decoder: str = "clipfeat.images.decode:decode"
    seconds: float = 60.0
    memory: int = 4 * 2**30


ISOLATED = Isolation()


@dataclass(frozen=True, eq=False)
class _Child:
    """A process that decodes, and the pipes to it."""

    process: subprocess.Popen[bytes]
    requests: BufferedWriter
    replies: BufferedReader
    shared: RGB


class IsolatedDecoder:
    """`clipfeat.images.decode.decode`, in as many processes as threads ask at once.

    A process is started when it is first needed, and again after one died. Used as a context
    manager; leaving it ends the processes, and with them whatever still waits for one.

    Parameters
    ----------
    isolation : Isolation
        What decodes, and within which limits.
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
        """Start `n` processes, without waiting until they can decode."""
        with self._lock:
            for _ in range(n):
                child = _start(self.isolation)
                self._all.add(child)
                self._starting.append(child)

    @contextmanager
    def decoded(self, data: bytes) -> Iterator[Decoded]:
        """Decode an image, whose pixels are there for the time of the block.

        Parameters
        ----------
        data : bytes
            A whole image file.

        Raises
        ------
        DecodeError
            If the decoder says so, dies, or goes over a limit.
        ClipfeatError
            If no decoder can be started.
        """
        child, decoded = self._asked(data, again=True)
        try:
            yield decoded
        finally:
            self._idle.append(child)

    def _asked(self, data: bytes, *, again: bool) -> tuple[_Child, Decoded]:
        """Pixels, and the child that holds them; asked of another where one was killed."""
        child = self._take()
        try:
            return child, _ask(child, data)
        except DecodeError:
            self._idle.append(child)
            raise
        except MemoryError as error:
            child.process.kill()  # it waits for somebody to read its pixels
            self._drop(child)
            raise DecodeError("there is no memory for its pixels") from error
        except (OSError, EOFError, ValueError) as error:
            code = self._drop(child)
            if not again or code not in KILLED:
                raise DecodeError(self._why(code)) from error
        return self._asked(data, again=False)

    def _take(self, *, again: bool = True) -> _Child:
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
        # Images must not be recorded as bad where the decoder itself is.
        if child.replies.read(len(READY)) != READY:
            code = self._drop(child)
            if self._closed:
                raise DecodeError(ENDED)
            if again and code in KILLED:
                return self._take(again=False)
            raise ClipfeatError(
                f"the decoder {self.isolation.decoder} does not start ({_ending(code)}): "
                "see what it said on standard error"
            )
        return child

    def _drop(self, child: _Child) -> int:
        """Forget a child, and tell how it ended."""
        with self._lock:
            self._all.discard(child)
        return _end(child)

    def _why(self, code: int) -> str:
        ending = _ending(code)
        if ending == "signal SIGALRM":
            return f"the decoder took longer than its limit of {self.isolation.seconds:g} s"
        return f"the decoder died on it ({ending})"


def default_workers() -> int:
    """As many threads as there are cores for this process, and one.

    So that every core has an image to decode while the pixels of another are resized.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) + 1
    return (os.cpu_count() or 1) + 1


def _start(isolation: Isolation) -> _Child:
    descriptor, shared = _shared_memory()
    arguments = [isolation.decoder, isolation.seconds, isolation.memory, descriptor]
    # It finds the modules that are found here, and none that lies in the working folder.
    path = os.pathsep.join(entry or os.curdir for entry in sys.path)
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "clipfeat.images.decoder_process", *map(str, arguments)],
            pass_fds=[descriptor] if descriptor >= 0 else [],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | ENVIRONMENT | {"PYTHONPATH": path},
            process_group=0,  # Ctrl-C goes to the group of the terminal: the parent decides
        )
    except OSError as error:
        raise ClipfeatError(
            f"no process can be started to decode images ({error.strerror}): use fewer workers"
        ) from error
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    # Buffered, so that they read and write all that is asked; typeshed calls them IO[bytes].
    requests = cast(BufferedWriter, process.stdin)
    replies = cast(BufferedReader, process.stdout)
    with suppress(ImportError, AttributeError, OSError):  # Linux alone can, up to the user's limit
        import fcntl

        for pipe in (requests, replies):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return _Child(process, requests, replies, shared)


def _shared_memory() -> tuple[int, RGB]:
    """Memory for a child's pixels, in no folder that could be full; Linux alone has it."""
    nothing: RGB = np.empty(0, dtype=np.uint8)
    if not hasattr(os, "memfd_create"):
        return -1, nothing
    try:
        descriptor = os.memfd_create("clipfeat")
        os.ftruncate(descriptor, SHARED_BYTES)
        return descriptor, np.frombuffer(mmap.mmap(descriptor, SHARED_BYTES), dtype=np.uint8)
    except OSError:
        return -1, nothing


def _ask(child: _Child, data: bytes) -> Decoded:
    child.requests.write(SIZE.pack(len(data)))
    child.requests.write(data)
    child.requests.flush()
    good, by_memory, height, width, length = HEADER.unpack(_exactly(child.replies, HEADER.size))
    text = _exactly(child.replies, length).decode()
    if not good:
        raise DecodeError(text)
    if by_memory:
        size = height * width * 3
        return Decoded(child.shared[:size].reshape(height, width, 3), text)
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    if child.replies.readinto(pixels.reshape(-1).data) < pixels.nbytes:
        raise EOFError
    return Decoded(pixels, text)


def _exactly(pipe: BufferedReader, size: int) -> bytes:
    found = pipe.read(size)
    if len(found) < size:
        raise EOFError
    return found


def _end(child: _Child) -> int:
    """Wait for a child that is dying, killing it where it does not; its exit code."""
    try:
        code = child.process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        child.process.kill()
        code = child.process.wait()
    for pipe in (child.requests, child.replies):
        with suppress(OSError):
            pipe.close()
    return code


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"
