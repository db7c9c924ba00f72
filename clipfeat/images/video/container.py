"""Opening a video's file by PyAV, and nothing else.

The file is opened here and handed over open, the demuxers are those of `CONTAINERS`, and no
protocol is allowed: a playlist that is called ``x.mp4`` can open neither another file nor an
address.
"""

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clipfeat.errors import DecodeError, missing_extra
from clipfeat.images.decode import MAX_PIXELS

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

CONTAINERS = "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg"
NOT_OURS = f"its format is none of {CONTAINERS}"


class RegularFile(io.FileIO):
    """A regular file, open for FFmpeg; a FIFO is refused rather than waited for."""

    def __init__(self, file: str) -> None:
        try:
            super().__init__(os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)))
        except (OSError, ValueError) as error:
            raise DecodeError(getattr(error, "strerror", None) or str(error)) from error
        status = os.fstat(self.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
            self.close()
            regular = stat.S_ISREG(status.st_mode)
            raise DecodeError("empty file" if regular else "not a regular file")

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go there; -1 where that cannot be, as C says it: PyAV would print an exception."""
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -1


def open_container(opened: RegularFile) -> "tuple[InputContainer, VideoStream]":
    """Open a video's container, and choose its first stream of moving pictures.

    Raises
    ------
    DecodeError
        If there is none, or one of more than `MAX_PIXELS`.
    MissingExtraError
        If PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise missing_extra("reading videos", "PyAV", "video") from error
    with errors_told("cannot be opened as a video", NOT_OURS):
        container = av.open(
            opened,
            "r",
            container_options={"format_whitelist": CONTAINERS, "protocol_whitelist": "none"},
            metadata_errors="replace",
        )
    try:
        picture = av.stream.Disposition.attached_pic
        streams = [s for s in container.streams.video if not s.disposition & picture]
        codec = streams[0].codec_context if streams else None
        if codec is None:
            raise DecodeError("there is no video in it" if not streams else "of an unknown codec")
        check_size(codec.width, codec.height)
        # Damage is an error where the decoder sees it; a process decodes with one thread.
        codec.options = {"err_detect": "crccheck+explode", "max_pixels": str(MAX_PIXELS)}
        codec.thread_count = 1
    except BaseException:
        container.close()
        raise
    return container, streams[0]


def check_size(width: int, height: int) -> None:
    """Refuse frames of more than `MAX_PIXELS`."""
    if width * height > MAX_PIXELS:
        raise DecodeError(f"{width}x{height} pixels, over the limit of {MAX_PIXELS}")


@contextmanager
def errors_told(doing: str, invalid: str = "") -> Iterator[None]:
    """Turn what FFmpeg raises, and what reading its file does, into one error."""
    try:
        yield
    except DecodeError as error:
        raise DecodeError(f"{doing}: {error}") from error
    except Exception as error:
        # Besides FFmpeg's own, what is read and PyAV raise builtin errors of many types.
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if invalid and getattr(error, "errno", None) == errno.EINVAL:
            text = invalid
        raise DecodeError(f"{doing}: {text}") from error
