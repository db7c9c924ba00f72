"""A few of a source's images, decoded, for decisions that rest on the user's own pixels."""

from collections.abc import Sequence
from contextlib import suppress

from clipfeat.errors import ImageError
from clipfeat.images.decode import RGB
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.record import ImageRecord, read_bytes
from clipfeat.images.video.frames import FRAMES, frame_request


def sample_pixels(
    records: Sequence[ImageRecord], decoder: IsolatedDecoder, n: int = 16
) -> list[RGB]:
    """Decode some images of a source, evenly spaced; what cannot be read is left out."""
    found = []
    with IsolatedDecoder(FRAMES) as of_videos:
        for i in range(min(n, len(records))):
            record = records[i * len(records) // n if len(records) > n else i]
            frame = record.time >= 0
            with suppress(ImageError):
                data = frame_request(record) if frame else read_bytes(record)
                with (of_videos if frame else decoder).decoded(data) as decoded:
                    found.append(decoded.pixels.copy())
    return found
