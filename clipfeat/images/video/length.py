"""Reading of the duration of a video, without decoding it."""

import math
from typing import TYPE_CHECKING

from clipfeat.errors import DecodeError
from clipfeat.images.video.container import decode_errors

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

DECLARING = ("mov", "matroska", "avi")
"""Containers whose header holds the duration of each stream. For others, FFmpeg only estimates the
duration, so it is measured."""
MAX_SECONDS = 86_400.0
"""A longer duration is an error, because the header is then probably damaged."""


def read_duration(container: "InputContainer", stream: "VideoStream") -> float:
    """Return the time from the first frame to the end of the last frame, in seconds.

    Raises
    ------
    DecodeError
        If there is no frame, or if the duration is negative or above `MAX_SECONDS`.
    """
    with decode_errors("the duration of the video cannot be read"):
        seconds = _declared(container, stream) or _measured(container, stream)
        if not 0 <= seconds <= MAX_SECONDS:
            raise DecodeError(f"its value is {seconds:g} s, expected 0 to {MAX_SECONDS:g} s")
    return seconds


def _declared(container: "InputContainer", stream: "VideoStream") -> float:
    """Return the duration of the video stream from the header, or 0 if it is not reliable."""
    if not container.format.name.startswith(DECLARING):
        return 0.0
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if text := stream.metadata.get("DURATION"):  # Matroska: hours:minutes:seconds
        parts = text.split(":")
        if len(parts) == 3 and all(part.replace(".", "", 1).isdecimal() for part in parts):
            return sum(float(part) * unit for part, unit in zip(parts, (3600, 60, 1), strict=True))
    if container.duration and len(container.streams) == 1:
        return container.duration / 1_000_000
    return 0.0


def _measured(container: "InputContainer", stream: "VideoStream") -> float:
    """Return the duration from the time stamps of the packets that can be read."""
    first, end, n = math.inf, -math.inf, 0
    base = float(stream.time_base or 1)
    try:
        for packet in container.demux(stream):
            if packet.pts is not None and packet.size:
                n += 1
                first = min(first, packet.pts * base)
                end = max(end, (packet.pts + (packet.duration or 0)) * base)
    except Exception:
        pass  # in a truncated file, the packets up to here count
    if not n:
        raise DecodeError("the video has no frames")
    return end - first
