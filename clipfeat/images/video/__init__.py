"""Videos as images: frames with a key from their pixels and the video as their group.

A source lists video files like image files. `frames.with_frames` then reads the duration of each
video, which decodes nothing, and replaces its record by one record per frame. `decode_frame` reads
the pixels later. Both open the file in a child process.
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
"""Without ``.ts``: most files with this suffix are programs."""


def is_video(spec: str) -> bool:
    """Whether a source is an existing path with a video's suffix."""
    return Path(spec).suffix.lower() in VIDEO_SUFFIXES and os.path.lexists(spec)
