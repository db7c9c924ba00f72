"""Videos as sets of images. The frames of a video are one group.

A source lists video files like image files. `frames.with_frames` then reads the duration of each
video, without decoding it, and replaces its record by one record per frame. `decode_frame` decodes
the frames later. The content hash of a frame is computed from its pixels. Both functions open the
file in a child process.
"""

import os
from pathlib import Path

from clipfeat.images.video.frame_decoder import decode_frame, duration

__all__ = ["VIDEO_SUFFIXES", "decode_frame", "duration", "is_video"]

VIDEO_SUFFIXES = frozenset(
    [
        ".mp4",
        ".m4v",
        ".mov",
        ".3gp",
        ".mkv",
        ".webm",
        ".avi",
        ".mpg",
        ".mpeg",
        ".m2ts",
        ".mts",
        ".flv",
        ".wmv",
        ".ogv",
    ]
)
"""Suffixes of videos. ``.ts`` is left out, because most files with this suffix are TypeScript."""


def is_video(spec: str) -> bool:
    """Return whether a source is an existing path with the suffix of a video."""
    return Path(spec).suffix.lower() in VIDEO_SUFFIXES and os.path.lexists(spec)
