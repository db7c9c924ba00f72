"""A few of a source's images, decoded, for decisions that rest on the user's own pixels."""

from collections.abc import Sequence
from contextlib import suppress

from clipfeat.errors import ImageError
from clipfeat.images.decode import RGB
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.record import ImageRecord, read_bytes
from clipfeat.images.video.frames import FRAMES, frame_request


def sample_records(records: Sequence[ImageRecord], n: int = 16) -> list[ImageRecord]:
    """Some images of a source, evenly spaced; all where there are no more."""
    most = min(n, len(records))
    return [records[i * len(records) // most] for i in range(most)]


def sample_pixels(records: Sequence[ImageRecord], decoder: IsolatedDecoder) -> list[RGB]:
    """Decode some images of a source; what cannot be read is left out."""
    found = []
    with IsolatedDecoder(FRAMES) as of_videos:
        for record in sample_records(records):
            frame = record.time >= 0
            with suppress(ImageError):
                data = frame_request(record) if frame else read_bytes(record)
                with (of_videos if frame else decoder).decoded(data) as decoded:
                    found.append(decoded.pixels.copy())
    return found
