"""Opening a video file with PyAV, without access to other files.

FFmpeg receives an open file. It may use only the demuxers of `CONTAINERS`, and no protocol. A
playlist named ``x.mp4`` can therefore open neither another file nor an address.
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
UNKNOWN_FORMAT = f"its format is not one of {CONTAINERS}"


class RegularFile(io.FileIO):
    """A regular file, open for FFmpeg. FIFOs are refused, because opening one may block forever."""

    def __init__(self, file: str) -> None:
        try:
            super().__init__(os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise DecodeError(f"the file cannot be read: {reason}") from error
        status = os.fstat(self.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
            self.close()
            regular = stat.S_ISREG(status.st_mode)
            raise DecodeError(
                "the file is empty"
                if regular
                else "the path is a folder, pipe or device, not a regular file"
            )

    def seek(self, offset: int, whence: int = 0) -> int:
        """Seek, and return -1 on failure, as C does, because PyAV would print an exception."""
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -1


def open_container(opened: RegularFile) -> "tuple[InputContainer, VideoStream]":
    """Open the container of a video and its first video stream that is not a cover picture.

    Raises
    ------
    DecodeError
        If the file cannot be opened, if it has no such stream, or if the frames have more than
        `MAX_PIXELS`.
    MissingExtraError
        If PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise missing_extra("reading videos", "PyAV", "video") from error
    with decode_errors("the file cannot be opened as a video", UNKNOWN_FORMAT):
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
            raise DecodeError(
                "the file has no video stream" if not streams else "the codec is not known"
            )
        check_size(codec.width, codec.height)
        # The decoder must report damage as an error. Each child process uses one thread.
        codec.options = {"err_detect": "crccheck+explode", "max_pixels": str(MAX_PIXELS)}
        codec.thread_count = 1
    except BaseException:
        container.close()
        raise
    return container, streams[0]


def check_size(width: int, height: int) -> None:
    """Raise `DecodeError` for frames of more than `MAX_PIXELS`."""
    if width * height > MAX_PIXELS:
        raise DecodeError(
            f"the video has frames of {width * height} pixels ({width}x{height}), more than the "
            f"limit of {MAX_PIXELS}"
        )


@contextmanager
def decode_errors(summary: str, invalid: str = "") -> Iterator[None]:
    """Convert errors of FFmpeg, PyAV and the file system to `DecodeError`.

    Parameters
    ----------
    summary : str
        Beginning of the message.
    invalid : str
        Text that replaces FFmpeg's text for the error "invalid argument".
    """
    try:
        yield
    except DecodeError as error:
        raise DecodeError(f"{summary}: {error}") from error
    except Exception as error:
        # PyAV and the file system raise builtin errors of many types.
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if invalid and getattr(error, "errno", None) == errno.EINVAL:
            text = invalid
        raise DecodeError(f"{summary}: {text}") from error
