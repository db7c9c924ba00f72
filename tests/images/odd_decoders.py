"""Decoders for tests that crash, hang or use memory, as the first word of the bytes says."""

import os
import signal
import sys
import time
from pathlib import Path

from clipfeat.errors import DecodeError
from clipfeat.images.decode import RGB, Decoded, decode


def odd(data: bytes, buffer: RGB) -> Decoded:  # noqa: PLR0912
    word, _, rest = data.partition(b" ")
    match word:
        case b"segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case b"kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case b"hang":
            time.sleep(600)
        case b"spin":
            while True:
                pass
        case b"late":  # only the first of two children
            if not (once := Path(rest.decode())).exists():
                once.touch()
                time.sleep(600)
            return decode(once.with_suffix(".png").read_bytes(), buffer)
        case b"complain":
            os.write(2, b"a line\na line from C\n")
            raise DecodeError("odd image")
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
