"""Which frames of a video are taken, and the records of them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import PurePosixPath

from clipfeat.errors import ImageError, UsageError, missing_extra
from clipfeat.images.isolated import IsolatedDecoder, Isolation
from clipfeat.images.readers import FileBytes, RemoteObject, VideoFrame
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource, listed
from clipfeat.images.video import VIDEO_SUFFIXES

FRAMES = Isolation("clipfeat.images.video:decode_frame")
"""What decodes a frame."""
PROBING = Isolation(decoder="clipfeat.images.video:duration")


@dataclass(frozen=True)
class FrameSampling:
    """How many frames of a video are taken.

    The video is cut into equal parts, and the frame in the middle of each is taken: so that the
    first and the last, often black, are left out, and sampling at a video's own rate gives each of
    its frames once.

    Parameters
    ----------
    fps : float, optional
        Parts a second; of a video shorter than half a part one frame is taken.
    frames : int, optional
        Parts in all; 8 where neither is given. Of a video with fewer frames some come more than
        once.

    Raises
    ------
    UsageError
        If both are given, or one is not above 0.
    """

    fps: float | None = None
    frames: int | None = None

    def __post_init__(self) -> None:
        if self.fps is not None and self.frames is not None:
            raise UsageError("frames are taken by --fps or by --frames, not by both")
        for name, value in (("--fps", self.fps), ("--frames", self.frames)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} must be above 0: {value!r}")

    def times(self, seconds: float) -> list[float]:
        """When the frames of a video of that length are shown: rising, in whole milliseconds.

        Examples
        --------
        >>> FrameSampling(frames=2).times(10)
        [2.5, 7.5]
        >>> FrameSampling(fps=0.5).times(5.5)
        [1.0, 3.0, 5.0]
        """
        if self.fps is None:
            n = self.frames or 8
            part = seconds / n
        else:
            part = 1 / self.fps
            n = max(0, math.ceil(seconds * self.fps - 0.5))
        middles = [(k + 0.5) * part for k in range(n)] or [seconds / 2]
        return sorted({math.floor(time * 1000) / 1000 for time in middles})


def with_frames(
    source: ImageSource, sampling: FrameSampling, probing: Isolation = PROBING
) -> ImageSource:
    """Replace every video of a source by the records of its frames; images stay as they are.

    A frame's path is the video's with the time, as in ``clips/a.mp4@0001.250s``; its group is the
    video's path, unless the source gave the video one; the columns ``file`` and ``time`` say the
    path and the seconds. A video that cannot be opened stays one record, at a time that is not
    finite: reading that fails, saying why.

    Parameters
    ----------
    source : ImageSource
    sampling : FrameSampling
        Which frames are wanted.
    probing : Isolation
        What tells how long a video lasts, and within which limits.

    Raises
    ------
    MissingExtraError
        If there are videos, and PyAV is not installed.
    UsageError
        If a video is on an object store.
    """
    if remote := next(filter(None, map(_remote_video, source)), ""):
        raise UsageError(f"a video is read from a file of this machine: download {remote}")
    if not any(video_file(record) for record in source):
        return source
    if find_spec("av") is None:
        raise missing_extra(f"{source.name} holds videos, and reading them", "PyAV", "video")
    with IsolatedDecoder(probing) as probe:
        records = [frame for record in source for frame in _frames(record, sampling, probe)]
    return listed(source.name, source.root, records)


def video_file(record: ImageRecord) -> str:
    """Return the path of the local video that a record reads whole, or an empty string."""
    reader = record.reader
    return reader.file if isinstance(reader, FileBytes) and _names_video(reader.file) else ""


def _remote_video(record: ImageRecord) -> str:
    """Return the URL of the remote video that a record reads whole, or an empty string."""
    reader = record.reader
    if isinstance(reader, RemoteObject) and reader.size < 0 and _names_video(reader.url):
        return reader.url
    return ""


def _names_video(file: str) -> bool:
    return PurePosixPath(file).suffix.lower() in VIDEO_SUFFIXES


def _frames(
    record: ImageRecord, sampling: FrameSampling, probe: IsolatedDecoder
) -> Iterator[ImageRecord]:
    if not (file := video_file(record)):
        yield record
        return
    group = record.group or record.path
    try:
        with probe.decoded(VideoFrame(file, 0.0).read()) as found:
            seconds = float(found.format)
    except ImageError:
        columns = _columns(record, {"file": record.path})
        yield replace(record, group=group, reader=VideoFrame(file, math.inf), columns=columns)
        return
    whole = max(4, len(str(int(seconds))))
    for time in sampling.times(seconds):
        columns = _columns(record, {"file": record.path, "time": f"{time:.3f}"})
        path = f"{record.path}@{time:0{whole + 4}.3f}s"
        yield replace(
            record, path=path, group=group, reader=VideoFrame(file, time), columns=columns
        )


def _columns(record: ImageRecord, more: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((dict(record.columns) | more).items()))
