"""How long a video lasts, without decoding it."""

import math
from typing import TYPE_CHECKING

from clipfeat.errors import DecodeError
from clipfeat.images.video.container import errors_told

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

KNOWING = ("mov", "matroska", "avi")
"""Containers whose header knows how long its streams are; in others it is FFmpeg's estimate."""
LONGEST = 86_400.0
"""Seconds; a header that claims more is not believed."""


def seconds_of(container: "InputContainer", stream: "VideoStream") -> float:
    """The time from the first frame to the end of the last.

    Raises
    ------
    DecodeError
        If there is no frame, or the time is over `LONGEST`.
    """
    with errors_told("it cannot be told how long it lasts"):
        found = _claimed(container, stream) or _measured(container, stream)
        if not 0 <= found <= LONGEST:
            raise DecodeError(f"{found:g} s are over the limit of {LONGEST:g}")
    return found


def _claimed(container: "InputContainer", stream: "VideoStream") -> float:
    """How long the header says that the video's own stream is; 0 where it says nothing sure."""
    if not container.format.name.startswith(KNOWING):
        return 0.0
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
