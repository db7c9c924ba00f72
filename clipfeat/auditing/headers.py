"""Building the `Subject` of an audit from image files.

Bytes and headers of all images are read. Pixels are decoded for a sample of the images.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clipfeat.auditing.pixels import pixel_properties
from clipfeat.auditing.subject import Subject, known_properties, subject_of
from clipfeat.errors import ImageError
from clipfeat.features import Failure, FeatureSet, order_classes
from clipfeat.images.header import Header, read_header
from clipfeat.images.isolated import default_workers
from clipfeat.images.record import ImageRecord, image_key
from clipfeat.images.source import ImageSource
from clipfeat.images.video.frames import video_file
from clipfeat.system.progress import Phase, Report


@dataclass(frozen=True, slots=True)
class _FileInfo:
    """Content hash, size in bytes and header of a file."""

    key: bytes
    size: int
    header: Header


def subject_of_images(
    source: ImageSource, n_jobs: int | None, start: Phase, report: Report
) -> Subject:
    """Read the bytes and headers of the images of a source.

    Parameters
    ----------
    source : ImageSource
        Images to read.
    n_jobs : int, optional
        Number of threads; by default the number of cores plus one.
    start : Phase
        Phase before the first file, which counts the files of earlier sources.
    report : callable
        Called with a `Phase` after each file.
    """
    records: list[ImageRecord] = []
    files: list[_FileInfo] = []
    failures: list[Failure] = []
    with ThreadPoolExecutor(n_jobs or default_workers()) as pool:
        results = zip(source, pool.map(_read_info, source), strict=True)
        for done, (record, one) in enumerate(results, 1):
            if isinstance(one, Failure):
                failures.append(one)
            else:
                records.append(record)
                files.append(one)
            report(replace(start, done=start.done + done, failed=len(failures)))
    classes = order_classes({record.label for record in records} - {""})
    code = {name: i for i, name in enumerate(classes)}
    columns = [dict(record.columns) for record in records]
    groups = np.array([record.group for record in records], dtype=np.str_)
    headers = [one.header for one in files]
    features = FeatureSet(
        X=np.zeros((len(files), 0), dtype=np.float32),
        y=np.array([code.get(record.label, -1) for record in records], dtype=np.int64),
        classes=classes,
        paths=np.array([record.path for record in records], dtype=np.str_),
        keys=np.array([one.key.hex() for one in files], dtype="S32"),
        groups=groups if (groups != "").any() else None,
        columns={
            name: np.array([of_record.get(name, "") for of_record in columns], dtype=np.str_)
            for name in sorted({name for of_record in columns for name in of_record})
        },
        failures=tuple(failures),
    )
    properties = known_properties(
        np.array([one.size for one in files]),
        np.array([header.width for header in headers]),
        np.array([header.height for header in headers]),
        np.array([header.format for header in headers], dtype=np.str_),
    )
    properties["jpeg_tables"] = np.array([header.jpeg_tables for header in headers], dtype=np.str_)
    properties["exif"] = np.array([_exif(header) for header in headers], dtype=np.str_)
    report(Phase("decoding a sample"))
    readers = {row: record.reader for row, record in enumerate(records) if not video_file(record)}
    return subject_of(features, properties | pixel_properties(readers, features.y, features.keys))


def _exif(header: Header) -> str:
    return "with" if header.exif else "without" if header.width else ""


def _read_info(record: ImageRecord) -> _FileInfo | Failure:
    try:
        data = record.reader.read()
        if file := video_file(record):
            header = Header(Path(file).suffix[1:].upper(), 0, 0, "", False)
        else:
            header = read_header(data)
        return _FileInfo(image_key(data), len(data), header)
    except ImageError as error:
        return Failure(record.path, type(error).__name__, str(error))
