"""The process that decodes for `clipfeat.images.isolated`; it ends when its input does.

Started as ``python -m clipfeat.images.decoder_process MODULE:FUNCTION SECONDS BYTES SHARED``. Once
it can decode it writes `READY`. A request is a `SIZE` and that many bytes of an image file; the
answer is a `HEADER`, then a text, then the pixels. The text is the format's name, or what went
wrong. SHARED is the descriptor of `SHARED_BYTES` of memory in which pixels are handed over rather
than by the pipe, where they fit and the system has such memory; or -1.
"""

import mmap
import os
import signal
import struct
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from clipfeat.errors import DecodeError
from clipfeat.images.decode import RGB, Decoded

READY = b"+"
SIZE = struct.Struct("<Q")
HEADER = struct.Struct("<??III")
"""Whether it was decoded, whether by shared memory, height, width, bytes of the text."""
SHARED_BYTES = 2**24

NOTHING: RGB = np.empty((0, 0, 3), dtype=np.uint8)


def main(decoder: str, seconds: float, memory: int, shared: int) -> None:
    """Answer requests until there are no more.

    Parameters
    ----------
    decoder : str
        ``"module:function"``, from bytes, and room for pixels, to `Decoded`.
    seconds : float
        For one image; the system ends this process when they are over.
    memory : int
        Bytes of address space that this process may have.
    shared : int
        The descriptor of the shared memory, or -1.
    """
    room: RGB = np.empty(0, dtype=np.uint8)
    if shared >= 0:
        room = np.frombuffer(mmap.mmap(shared, SHARED_BYTES), dtype=np.uint8)
    requests, replies = _own_pipes()
    module, _, function = decoder.partition(":")
    decode = getattr(import_module(module), function)
    _default_signals()
    _limit_memory(memory)
    # Of all that may be said of one image among millions, only this one is an error.
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    replies.write(READY)
    replies.flush()
    while len(head := requests.read(SIZE.size)) == SIZE.size:
        (size,) = SIZE.unpack(head)
        data = requests.read(size)
        if len(data) < size:
            return
        _alarm(seconds)
        text, pixels = _answer(decode, data, room, memory)
        _alarm(0)
        said = text.encode("utf-8", "backslashreplace")
        height, width = pixels.shape[:2]
        flat = pixels.reshape(-1)
        fits = flat.size <= room.size
        if fits and not np.may_share_memory(flat, room):
            room[: flat.size] = flat
        replies.write(HEADER.pack(pixels is not NOTHING, fits, height, width, len(said)) + said)
        if not fits:
            replies.write(flat.data)
        replies.flush()


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Take the pipes away from standard input and output, where a library may read and print."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    return requests, replies


def _default_signals() -> None:
    """Leave Ctrl-C to the parent, and let the alarm end this process whatever it inherited."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])


def _alarm(seconds: float) -> None:
    """Ask the system to end this process: that works in a C loop, and when the parent is dead."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _limit_memory(memory: int) -> None:
    """Bound this process's address space, and offer it first where the machine's memory ends."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    with suppress(ImportError, OSError, ValueError):  # Windows has no such limit, macOS may refuse
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        soft = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _answer(
    decode: Callable[[bytes, RGB], Decoded], data: bytes, room: RGB, memory: int
) -> tuple[str, RGB]:
    try:
        decoded = decode(data, room)
        return decoded.format, np.ascontiguousarray(decoded.pixels, dtype=np.uint8)
    except MemoryError:
        pass  # Words are made below, once the traceback and all that it holds are gone.
    except DecodeError as error:
        if not isinstance(error.__cause__, MemoryError):
            return str(error), NOTHING
    except Exception as error:
        return f"cannot be decoded: {type(error).__name__}: {error}", NOTHING
    return f"needs more memory than the limit of {memory / 2**30:.3g} GiB", NOTHING


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    os._exit(0)  # nothing is left to say, and nobody may be left to hear it
