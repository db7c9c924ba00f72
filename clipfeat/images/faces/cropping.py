"""Write the crops of the faces in a source as image files."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from clipfeat.errors import ImageError, UsageError
from clipfeat.features import Failure
from clipfeat.images.decode import RGB
from clipfeat.images.faces import open_finder
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.memory import ImageInput
from clipfeat.images.record import FACE
from clipfeat.images.source_options import SourceOptions, open_inputs
from clipfeat.images.thumbnails import is_inside
from clipfeat.images.video.frames import FRAMES, with_frames
from clipfeat.system.files import publish, storage_errors
from clipfeat.system.locations import local_path


@dataclass(frozen=True)
class FaceCrops:
    """Result of `crop_faces`.

    Parameters
    ----------
    files : sequence of Path
        The written files.
    failures : sequence of Failure
        Images and frames without a face, and those that cannot be read.
    """

    files: Sequence[Path]
    failures: Sequence[Failure]


def crop_faces(
    source: ImageInput, folder: str | Path, *, inputs: SourceOptions = SourceOptions()
) -> FaceCrops:
    """Write the faces of images and video frames as PNG files.

    `clipfeat.embed` crops faces without this function. Use it to look at the encoded crops, or to
    prepare images for other programs.

    Parameters
    ----------
    source : path, sequence of paths, images in memory, or ImageSource
        Images and videos, as in `clipfeat.embed`.
    folder : path
        Output folder. The path of a file consists of the path of its image and the number of the
        face, such as ``real/a.mp4@0001.250s#face0.png``. Existing files are replaced.
    inputs : SourceOptions
        Options for reading the source. The default of `faces` is ``open_finder("all")``. Views are
        ignored.

    Returns
    -------
    FaceCrops
        The written files and the failures. An image without a face is recorded and skipped.

    Raises
    ------
    EmptySourceError
        If the source contains no image.
    UsageError
        If the path of an image leads out of the source's root.
    StorageError
        If a file cannot be written.

    Examples
    --------
    >>> import clipfeat
    >>> inputs = clipfeat.SourceOptions(faces=clipfeat.open_finder("largest"))
    >>> clipfeat.crop_faces("videos/", "crops/", inputs=inputs).files  # doctest: +SKIP
    """
    finder = inputs.faces or open_finder("all")
    images = with_frames(open_inputs(source, inputs), inputs.frames)
    for record in images:
        if not is_inside(record.path):
            raise UsageError(
                f"the path {record.path!r} leads out of the source's folder, so its faces cannot "
                "be written. Pass the folder that contains all images"
            )
    target = local_path(folder)
    files: list[Path] = []
    failures: list[Failure] = []
    with IsolatedDecoder() as image_decoder, IsolatedDecoder(FRAMES) as frame_decoder:
        for record in images:
            is_frame = record.reader.content == "frame request"
            decoder = frame_decoder if is_frame else image_decoder
            try:
                with decoder.decoded(record.reader.read()) as decoded:
                    crops = [_png(crop) for crop in finder(decoded.pixels)]
            except ImageError as error:
                failures.append(Failure(record.path, type(error).__name__, str(error)))
                continue
            for number, png in enumerate(crops):
                file = target / f"{record.path}{FACE}{number}.png"
                with storage_errors(f"creating {file.parent}"):
                    file.parent.mkdir(parents=True, exist_ok=True)
                publish(png, file)
                files.append(file)
    return FaceCrops(files, failures)


def _png(pixels: RGB) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()
