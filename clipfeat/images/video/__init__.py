"""Videos as images: each is replaced by frames of it, keyed by their pixels, grouped by its file.

A source lists a video's file as it lists an image's. `frames.with_frames` then asks for each how
long it lasts, which decodes nothing, and puts in its place one record for each frame that is
wanted; their pixels are later read by `decode_frame`. Both open the file in a process of its own.
"""

import os
from pathlib import Path

from clipfeat.images.video.reading import decode_frame, duration

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
"""Not ``.ts``: most files of that name are programs."""


def is_video(spec: str) -> bool:
    """Whether a source is something that is there under a video's name."""
    return Path(spec).suffix.lower() in VIDEO_SUFFIXES and os.path.lexists(spec)
