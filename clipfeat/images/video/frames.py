"""Sampling of a video's frames, and the records of the frames."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import PurePosixPath

from clipfeat.errors import ImageError, UsageError, missing_extra
from clipfeat.images.isolated import IsolatedDecoder, Isolation
from clipfeat.images.readers import FileBytes, RemoteObject, VideoFrame
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import ImageSource, make_source
from clipfeat.images.video import VIDEO_SUFFIXES

FRAMES = Isolation("clipfeat.images.video:decode_frame")
"""The decoder of video frames."""
PROBING = Isolation(decoder="clipfeat.images.video:duration")
"""The decoder that reads durations."""


@dataclass(frozen=True)
class FrameSampling:
    """Options for sampling the frames of a video.

    The video is divided into parts of equal length, and the frame in the middle of each part is
    taken. The first and last frames are left out, because they are often black. If `fps` is the
    video's own rate, each frame is taken once.

    Parameters
    ----------
    fps : float, optional
        Number of parts, and therefore frames, per second. A video that is shorter than half a part
        gives one frame.
    frames : int, optional
        Number of parts, and therefore frames, of each video. If neither option is given, it is 8.
        If the video has fewer frames, some frames are taken more than once.

    Raises
    ------
    UsageError
        If both options are given, or if a value is not above 0.
    """

    fps: float | None = None
    frames: int | None = None

    def __post_init__(self) -> None:
        if self.fps is not None and self.frames is not None:
            raise UsageError("--fps and --frames are both given. Pass only one of them")
        for name, value in (("--fps", self.fps), ("--frames", self.frames)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(
                    f"{name} must be above 0, got {value!r}. Pass for example {name} 1"
                )

    def times(self, seconds: float) -> list[float]:
        """Return the times of the frames to take from a video.

        The times are in seconds, rounded down to milliseconds, and in increasing order.

        Parameters
        ----------
        seconds : float
            Duration of the video.

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
    """Replace every video of a source by records of its frames, and keep its images.

    A frame's path is the video's path and the time, such as ``clips/a.mp4@0001.250s``. Its group is
    the video's group, or the video's path if the source gives no group. The columns ``file`` and
    ``time`` hold the video's path and the time in seconds. A video that cannot be opened stays one
    record with an infinite time. Decoding this record raises the error.

    Parameters
    ----------
    source : ImageSource
        Images and videos.
    sampling : FrameSampling
        The frames to take.
    probing : Isolation
        The decoder of durations and its limits.

    Returns
    -------
    ImageSource
        Images and frames.

    Raises
    ------
    MissingExtraError
        If there are videos and PyAV is not installed.
    UsageError
        If a video is on an object store.
    """
    if remote := next(filter(None, map(_remote_video, source)), ""):
        raise UsageError(
            f"videos on object stores cannot be read. Download {remote} and pass the local file"
        )
    if not any(video_file(record) for record in source):
        return source
    if find_spec("av") is None:
        raise missing_extra(f"reading the videos of {source.name}", "PyAV", "video")
    with IsolatedDecoder(probing) as probe:
        records = [frame for record in source for frame in _frames(record, sampling, probe)]
    made = make_source(
        source.name, source.root, records, skipped=source.skipped, places=source.places
    )
    return replace(made, listed=source.listed)


def video_file(record: ImageRecord) -> str:
    """Return the path of the local video that a record stands for, or an empty string."""
    reader = record.reader
    return reader.file if isinstance(reader, FileBytes) and _names_video(reader.file) else ""


def _remote_video(record: ImageRecord) -> str:
    """Return the URL of the remote video that a record stands for, or an empty string."""
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
        with probe.decoded(VideoFrame(file, 0.0).read()) as probed:
            seconds = float(probed.format)
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
