"""Pictures for the page: a reduced copy of the image, and its occlusion map."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipfeat.images.decode import RGB
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.serving.occlusion import OcclusionMap

SIDE = 720
"""Longest side of a preview in pixels."""
SUPPORTING = (230, 97, 1)
OPPOSING = (94, 60, 153)
"""Orange and purple, which most colour-blind people can tell apart."""
OPACITY = 0.65
FULL_CHANGE = 0.05
"""Smallest change of a probability that is drawn with the full opacity."""
QUALITY = 85


def preview(data: bytes, decoder: IsolatedDecoder, side: int = SIDE) -> Image.Image:
    """Decode an image in a child process, and reduce it for display.

    Raises
    ------
    DecodeError
        If the image cannot be decoded.
    """
    with decoder.decoded(data) as decoded:
        image = Image.fromarray(decoded.pixels)
        image.thumbnail((side, side))
        return image.copy()


def map_picture(image: Image.Image, occlusion: OcclusionMap) -> Image.Image:
    """Draw an occlusion map over a grey copy of the image.

    Orange cells support the verdict: covering them lowers the probability of the predicted class.
    Purple cells oppose it. The opacity is proportional to the change of the probability, and full
    for the largest change or `FULL_CHANGE`, whichever is larger.
    """
    grey: RGB = np.asarray(image.convert("L").convert("RGB"))
    height, width = grey.shape[:2]
    strength = _enlarged(occlusion.drops / max(occlusion.largest, FULL_CHANGE), height, width)
    colour = np.where(strength[:, :, None] > 0, SUPPORTING, OPPOSING)
    opacity = OPACITY * np.abs(strength)[:, :, None]
    return Image.fromarray(((1 - opacity) * grey + opacity * colour).astype(np.uint8))


def data_address(image: Image.Image) -> str:
    """Return a picture as the ``data:`` address of a JPEG file."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def png_address(png: bytes) -> str:
    """Return the ``data:`` address of a PNG file."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _enlarged(cells: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Enlarge a grid of cells to pixels, without smoothing."""
    n_rows, n_columns = cells.shape
    rows = np.arange(height) * n_rows // height
    columns = np.arange(width) * n_columns // width
    enlarged: NDArray[np.float64] = cells[rows][:, columns]
    return enlarged
