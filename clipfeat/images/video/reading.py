"""Reading a video by PyAV (the extra ``[video]``), in the process that decodes.

The file is opened here and handed over open, the demuxers are those of `CONTAINERS`, and no
protocol is allowed: a playlist that is called ``x.mp4`` can open neither another file nor an
address. Where the decoder reports damage, that frame and all up to the next key frame are errors,
never a grey guess; but most codecs hold no checksum, and what still parses is not noticed: of 12
H.264 files with 3,000 bytes zeroed, 68 of 360 frames are errors and 12 are wrong without a word.
Conversion to RGB is exact to the bit on every machine; the shape of a video's samples (anamorphic
video) and the transfer curve of HDR are left as they are.
"""

import json
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from clipfeat.errors import DecodeError, missing_extra
from clipfeat.images.decode import MAX_PIXELS, NO_ROOM, RGB, Decoded

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

CONTAINERS = "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg"
LONGEST = 86_400.0
"""Seconds; a header that claims more is not believed."""
FAR = 10.0
"""Seconds ahead that are rather sought than decoded, where no index says what is cheaper."""
BACK = (0.0, 1.0, 10.0)
"""Seconds before a time at which a seek begins, one after the other, then the video's start."""


def duration(request: bytes, room: RGB = NO_ROOM) -> Decoded:
    """Tell how long a video lasts, in seconds as the text of the answer; nothing is decoded.

    Parameters
    ----------
    request : bytes
        JSON: an object whose ``file`` is the path.
    room : ndarray
        Not used.

    Raises
    ------
    DecodeError
        If the file is no video, or not one that can be listed.
    """
    video = _Video(str(json.loads(request)["file"]))
    try:
        return Decoded(np.zeros((1, 1, 3), dtype=np.uint8), repr(video.seconds()))
    finally:
        video.close()


def decode_frame(request: bytes, room: RGB = NO_ROOM) -> Decoded:
    """Decode the frame that is shown at a time.

    The video stays open for the next request: a later time of it is reached by decoding on.

    Parameters
    ----------
    request : bytes
        JSON: ``file`` is the path; ``time`` counts seconds from the video's first frame. A time
        that is not finite stands for a video whose frames could not be listed.
    room : ndarray
        Not used.

    Returns
    -------
    Decoded
        Upright RGB; the format is the codec's name.

    Raises
    ------
    DecodeError
        If the file is no video, or the frame cannot be read.
    """
    global _LAST  # noqa: PLW0603
    asked = json.loads(request)
    file, time = str(asked["file"]), float(asked["time"])
    if _LAST is None or _LAST.file != file or not _LAST.is_current():
        if _LAST is not None:
            _LAST.close()
        _LAST = None
        _LAST = _Video(file)
    try:
        if not math.isfinite(time):
            _LAST.seconds()
            raise DecodeError("its frames could not be listed")
        return Decoded(_pixels(_LAST.frame_at(time)), _LAST.stream.codec_context.name)
    except BaseException:
        _LAST.close()
        _LAST = None
        raise


class _Video:
    """An open video, and where reading it has come to."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._opened = _regular(file)
        self._shown: VideoFrame | None = None
        self._ahead: VideoFrame | None = None
        self._damage: Exception | None = None
        try:
            self._open()
        except BaseException:
            self._opened.close()
            raise

    def close(self) -> None:
        self.container.close()
        self._opened.close()

    def is_current(self) -> bool:
        """Whether the file of that name is still the one that is open."""
        try:
            return os.path.samestat(Path(self.file).stat(), os.fstat(self._opened.fileno()))
        except OSError:
            return False

    def seconds(self) -> float:
        """The time from the first frame to the end of the last."""
        with _errors("it cannot be told how long it lasts"):
            found = _claimed(self.container, self.stream) or _measured(self.container, self.stream)
            if not 0 <= found <= LONGEST:
                raise DecodeError(f"{found:g} s are over the limit of {LONGEST:g}")
        return found

    def frame_at(self, time: float) -> "VideoFrame":
        """The last frame that begins at `time` or before, or the first."""
        where = f"no frame can be read at {time:.3f} s"
        with _errors(where):
            self._come_near(time)
            while self._ahead is not None and self._time(self._ahead) <= time:
                self._shown, self._ahead = self._ahead, self._next()
            if self._shown is None:
                raise self._damage or DecodeError("the video holds none")
            if self._ahead is None and time > (end := self._end(self._shown)):
                raise self._damage or DecodeError(f"the video ends at {end:.3f} s")
        return self._shown

    def _open(self) -> None:
        self._opened.seek(0)
        self.container, self.stream = _container(self._opened)
        self._base = float(self.stream.time_base or 1)
        self._first = self.stream.start_time or 0
        self._shown = None

    def _come_near(self, time: float) -> None:
        """Go to a frame from which `time` can be reached by decoding."""
        if self._shown is None:
            self._start()
        if self._shown is None or not self._is_sought(time):
            return
        for back in BACK:  # an index may lead to what is decoded at that time and shown later
            self.container.seek(self._stamp(time - back), stream=self.stream)
            self._start()
            if self._shown is not None and self._time(self._shown) <= time:
                return
        self.container.close()
        self._open()
        self._start()

    def _is_sought(self, time: float) -> bool:
        assert self._shown is not None
        if time < (now := self._time(self._shown)):
            return True
        entries, target = self.stream.index_entries, self._stamp(time)
        at = entries.search_timestamp(target)
        if at >= 0 and entries[at].timestamp > self._stamp(now):
            return True
        covered = len(entries) > 0 and entries[len(entries) - 1].timestamp >= target
        return not covered and time - now > FAR

    def _start(self) -> None:
        self._damage = None
        self._frames = self._decoded()
        self._shown = self._next()
        self._ahead = self._next()

    def _next(self) -> "VideoFrame | None":
        """The next frame; of one that is damaged, the error is kept for when it is wanted."""
        try:
            return next(self._frames, None)
        except Exception as error:
            self._damage = error
            return None

    def _decoded(self) -> Iterator["VideoFrame"]:
        damage: Exception | None = None
        for packet in self.container.demux(self.stream):
            try:
                if packet.is_corrupt:
                    raise DecodeError("damaged there, or cut off")
                frames = packet.decode()
            except Exception as error:
                damage = error
                frames = self.stream.codec_context.decode(None)  # those before the damage
            for frame in frames:
                if frame.is_corrupt:
                    raise DecodeError("damaged there")
                yield frame
            if damage is not None:
                raise damage

    def _time(self, frame: "VideoFrame") -> float:
        stamp = frame.dts if frame.pts is None else frame.pts
        if stamp is None:
            raise DecodeError("a frame without a time")
        return (stamp - self._first) * self._base

    def _stamp(self, time: float) -> int:
        return int(time / self._base) + self._first

    def _end(self, last: "VideoFrame") -> float:
        """When the last frame that can be read ends; a little is allowed for what is rounded."""
        rate = self.stream.average_rate or self.stream.guessed_rate
        usual = float(1 / rate) if rate else 0.0
        return self._time(last) + 1.25 * max((last.duration or 0) * self._base, usual)


_LAST: _Video | None = None
"""The video of the last request, open."""


def _container(opened: BinaryIO) -> "tuple[InputContainer, VideoStream]":
    try:
        import av
    except ImportError as error:
        raise missing_extra("reading videos", "PyAV", "video") from error
    with _errors("cannot be opened as a video"):
        container = av.open(
            opened,
            "r",
            container_options={"format_whitelist": CONTAINERS, "protocol_whitelist": "none"},
            metadata_errors="replace",
        )
    try:
        picture = av.stream.Disposition.attached_pic
        streams = [s for s in container.streams.video if not s.disposition & picture]
        if not streams:
            raise DecodeError("there is no video in it")
        codec = streams[0].codec_context
        _check_size(codec.width, codec.height)
        # Damage is an error where the decoder sees it; a process decodes with one thread.
        codec.options = {"err_detect": "crccheck+explode", "max_pixels": str(MAX_PIXELS)}
        codec.thread_count = 1
    except BaseException:
        container.close()
        raise
    return container, streams[0]


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise DecodeError(f"{width}x{height} pixels, over the limit of {MAX_PIXELS}")


def _regular(file: str) -> BinaryIO:
    """Open a regular file; a FIFO is refused rather than waited for."""
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        opened = os.fdopen(descriptor, "rb")
    except (OSError, ValueError) as error:
        raise DecodeError(getattr(error, "strerror", None) or str(error)) from error
    status = os.fstat(opened.fileno())
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
        opened.close()
        raise DecodeError("empty file" if stat.S_ISREG(status.st_mode) else "not a regular file")
    return opened


@contextmanager
def _errors(doing: str) -> Iterator[None]:
    """Turn what FFmpeg raises, and what reading its file does, into one error."""
    try:
        yield
    except DecodeError as error:
        raise DecodeError(f"{doing}: {error}") from error
    except Exception as error:
        # FFmpeg's errors are of a dozen types, and have no parent but this one.
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DecodeError(f"{doing}: {text}") from error


def _claimed(container: "InputContainer", stream: "VideoStream") -> float:
    """How long the header says that the video's own stream is; 0 where it says nothing sure."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if text := stream.metadata.get("DURATION"):  # Matroska's, as hours:minutes:seconds
        parts = text.split(":")
        if len(parts) == 3 and all(part.replace(".", "", 1).isdecimal() for part in parts):
            return sum(float(part) * unit for part, unit in zip(parts, (3600, 60, 1), strict=True))
    if container.duration and len(container.streams) == 1:
        return container.duration / 1_000_000
    return 0.0


def _measured(container: "InputContainer", stream: "VideoStream") -> float:
    """How long the packets say that the video is, as far as they can be read."""
    first, end, n = math.inf, -math.inf, 0
    base = float(stream.time_base or 1)
    try:
        for packet in container.demux(stream):
            if packet.pts is not None and packet.size:
                n += 1
                first = min(first, packet.pts * base)
                end = max(end, (packet.pts + (packet.duration or 0)) * base)
    except Exception:
        pass  # what was read until then counts; the rest is no longer there
    if not n:
        raise DecodeError("there is no frame in it")
    return end - first


def _pixels(frame: "VideoFrame") -> RGB:
    """Upright RGB of a frame, converted alike on every machine."""
    from av.video.reformatter import Interpolation as Way

    _check_size(frame.width, frame.height)
    exact = Way.BICUBIC | Way.FULL_CHR_H_INT | Way.FULL_CHR_H_INP | Way.ACCURATE_RND | Way.BITEXACT
    pixels: RGB = np.asarray(frame.to_ndarray(format="rgb24", interpolation=exact, threads=1))
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))
