"""The child process that decodes images for `clipfeat.images.isolated`.

The parent starts it as
``python -m clipfeat.images.decoder_process MODULE:FUNCTION SECONDS WALL_SECONDS BYTES SHARED``. The
child writes `READY` as soon as it can decode, and exits at the end of its input. A request consists
of a `REQUEST` and the bytes of an image file. The reply is a `HEADER`, a text (the name of the
format, or an error message), and the pixels. SHARED is the descriptor of `SHARED_BYTES` of shared
memory, or -1 if there is none. Pixels that fit into this memory are passed through it, and not
through the pipe.
"""

import mmap
import os
import signal
import struct
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import BinaryIO

import numpy as np
from PIL import Image

from clipfeat.errors import DecodeError
from clipfeat.images.decode import RGB, Decoded
from clipfeat.system.process_limits import limit_memory

READY = b"+"
REQUEST = struct.Struct("<QQ")
"""Two fields: the number of bytes of the file, and the argument `least_side` of the decoder."""
HEADER = struct.Struct("<??IIIII")
"""Seven fields: whether the image was decoded, whether its pixels are in shared memory, the height
and width of the pixels, those of the image in the file, and the number of bytes of the text."""
SHARED_BYTES = 2**24
ERROR_BYTES = 2**20
"""Maximum size of a decoder's messages on standard error, in bytes. Further output is lost."""

NO_PIXELS: RGB = np.empty((0, 0, 3), dtype=np.uint8)


def main(decoder: str, limits: tuple[float, float], memory: int, shared: int) -> None:
    """Reply to requests until the input ends.

    Parameters
    ----------
    decoder : str
        ``"module:function"`` of a function that takes bytes and a buffer and returns `Decoded`. For
        requests with a `least_side`, it also takes this argument.
    limits : (float, float)
        Limits for one image, in seconds of processor time and of wall-clock time. If one of them is
        exceeded, the system ends this process.
    memory : int
        Limit of the address space of this process, in bytes.
    shared : int
        Descriptor of the shared memory, or -1 if there is none.
    """
    buffer: RGB = np.empty(0, dtype=np.uint8)
    if shared >= 0:
        buffer = np.frombuffer(mmap.mmap(shared, SHARED_BYTES), dtype=np.uint8)
    requests, replies = _take_pipes()
    module, _, function = decoder.partition(":")
    decode = getattr(import_module(module), function)
    _default_signals()
    limit_memory(memory)
    _limit_messages()
    # Ignore warnings about single images. A decompression bomb is an error.
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    replies.write(READY)
    replies.flush()
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        size, least_side = REQUEST.unpack(head)
        data = requests.read(size)
        if len(data) < size:
            return
        _alarm(*limits)
        reply = _reply(decode, data, buffer, least_side, memory)
        _alarm(0, 0)
        pixels = reply.pixels
        message = reply.format.encode("utf-8", "backslashreplace")
        flat = pixels.reshape(-1)
        fits = flat.size <= buffer.size
        if fits and not np.may_share_memory(flat, buffer):
            buffer[: flat.size] = flat
        sizes = (*pixels.shape[:2], *reply.size)
        header = HEADER.pack(pixels is not NO_PIXELS, fits, *sizes, len(message))
        replies.write(header + message)
        if not fits:
            replies.write(flat.data)
        replies.flush()


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Move the pipes to other descriptors, because libraries may use standard input and output."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    return requests, replies


def _default_signals() -> None:
    """Ignore Ctrl-C, which the parent handles, and let the alarm signals end this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "setitimer"):
        for alarm in (signal.SIGALRM, signal.SIGPROF):
            signal.signal(alarm, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM, signal.SIGPROF])


def _alarm(seconds: float, wall_seconds: float) -> None:
    """Set alarms for two limits. Zeros cancel the alarms.

    The system ends this process when the first limit is reached. The alarms also end a decoder that
    hangs in C code, and a child whose parent was killed.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.setitimer(signal.ITIMER_REAL, wall_seconds)


def _limit_messages() -> None:
    """Limit the size of all files of this process. Standard error is a file in memory."""
    with suppress(ImportError, OSError, ValueError):  # Windows has no limits
        import resource

        most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        size = ERROR_BYTES if most == resource.RLIM_INFINITY else min(ERROR_BYTES, most)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))


def _reply(
    decode: Callable[..., Decoded], data: bytes, buffer: RGB, least_side: int, memory: int
) -> Decoded:
    """Decode one image. If this fails, return `NO_PIXELS` and an error message as the format."""
    try:
        arguments = {"least_side": least_side} if least_side else {}
        decoded = decode(data, buffer, **arguments)
        return replace(decoded, pixels=np.ascontiguousarray(decoded.pixels, dtype=np.uint8))
    except MemoryError:
        pass  # the message is made below, when the traceback no longer holds memory
    except DecodeError as error:
        if not isinstance(error.__cause__, MemoryError):
            return Decoded(NO_PIXELS, str(error))
    except Exception as error:
        text = f"the image cannot be decoded: {type(error).__name__}: {error}"
        return Decoded(NO_PIXELS, text)
    text = f"decoding needs more memory than the limit of {memory / 2**30:.3g} GiB"
    return Decoded(NO_PIXELS, text)


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        main(
            sys.argv[1],
            (float(sys.argv[2]), float(sys.argv[3])),
            int(sys.argv[4]),
            int(sys.argv[5]),
        )
    os._exit(0)  # exit without flushing, because the parent may have ended
