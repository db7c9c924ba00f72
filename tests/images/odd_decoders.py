"""Decoders for the child process that crash, hang or use memory, by the first word of the bytes."""

import os
import signal
import sys
import time

from clipfeat.errors import DecodeError
from clipfeat.images.decode import RGB, Decoded, decode


def odd(data: bytes, buffer: RGB) -> Decoded:
    word, _, rest = data.partition(b" ")
    match word:
        case b"segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case b"kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case b"hang":
            time.sleep(600)
        case b"exit":
            os._exit(3)
        case b"eat":
            eaten = []
            while True:
                eaten.append(bytearray(2**24))
        case b"eat-inside":  # as `decode` does
            try:
                bytearray(2**40)
            except MemoryError as error:
                raise DecodeError("cannot be decoded: MemoryError") from error
        case b"stumble":
            raise LookupError("odd \udcff words")
        case b"chat":
            print("a word from a library", flush=True)  # noqa: T201
            os.write(1, b"and one from C")
            sys.stdout.write(sys.stdin.read() + os.read(0, 9).decode())
            return decode(rest, buffer)
    return decode(data, buffer)


def dying(request: bytes, buffer: RGB) -> Decoded:
    os._exit(3)
