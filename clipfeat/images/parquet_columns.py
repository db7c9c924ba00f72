"""Columns of images in Parquet files, and class names in Hugging Face's metadata.

A column of images has one of two types. Hugging Face's ``datasets`` writes a structure with the
bytes of an image file, and often its name (``struct<bytes: binary, path: string>``). Other programs
write plain bytes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clipfeat.features.usual_names import PATH_NAMES, plain_name
from clipfeat.images.parquet_types import is_binary

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_NAMES = (
    "image", "img", "imagedata", "imgdata", "imagebytes", "imgbytes", "bytes", "jpg", "jpeg", "png",
    "webp", "picture", "photo", "data", "content",
)  # fmt: skip
"""Usual names of a column of images, without capitals, spaces, hyphens and underscores."""


@dataclass(frozen=True, slots=True)
class ImageColumn:
    """Column of images.

    Parameters
    ----------
    name : str
        Name of the column.
    bytes_at, path_at : str
        Paths of the bytes and of the file names in the schema, such as ``"image.bytes"``. The
        second is empty if the column has no file names.
    """

    name: str
    bytes_at: str
    path_at: str = ""


def image_column(schema: "pa.Schema", given: str = "") -> ImageColumn | None:
    """Find the column of images in the schema of a Parquet file.

    Structures, and columns that Hugging Face's metadata describes as images, are preferred. If
    several exist, the order of `IMAGE_NAMES` decides, and then the order in the schema. If none
    exists, a column of plain bytes is used if it has a usual name. Without a usual name, it is used
    if it is the only column of plain bytes and no column contains file names.

    Parameters
    ----------
    schema : pyarrow.Schema
        The schema, with the metadata.
    given : str
        Name of the column. It must hold bytes. If it is empty, the rules above choose the column.
    """
    columns = [column for field in schema if (column := _as_images(field)) is not None]
    if given:
        alike = [c for c in columns if c.name == given] or [
            c for c in columns if plain_name(c.name) == plain_name(given)
        ]
        return alike[0] if len(alike) == 1 else None
    declared = {
        name for name, feature in features_of(schema).items() if feature.get("_type") == "Image"
    }
    certain = [c for c in columns if c.bytes_at != c.name or c.name in declared]
    usual = [c for name in IMAGE_NAMES for c in certain or columns if plain_name(c.name) == name]
    if usual or certain:
        return (usual or certain)[0]
    names_files = any(
        plain_name(field.name) in PATH_NAMES and not is_binary(field.type) for field in schema
    )
    return columns[0] if len(columns) == 1 and not names_files else None


def class_names_of(schema: "pa.Schema") -> dict[str, list[str]]:
    """Return the class names of each column that Hugging Face's metadata describes as classes.

    A value of the column is an index into the names.
    """
    named: dict[str, list[str]] = {}
    for column, feature in features_of(schema).items():
        names = feature.get("names")
        if feature.get("_type") == "ClassLabel" and isinstance(names, list):
            named[column] = [str(name) for name in names]
    return named


def features_of(schema: "pa.Schema") -> dict[str, Mapping[str, Any]]:
    """Return Hugging Face's description of each column, or an empty mapping."""
    try:
        about: Any = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = about["info"]["features"]
        return {str(name): f for name, f in features.items() if isinstance(f, dict)}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def _as_images(field: "pa.Field") -> ImageColumn | None:
    import pyarrow as pa

    if is_binary(field.type):
        return ImageColumn(field.name, field.name)
    if not pa.types.is_struct(field.type):
        return None
    inner: Sequence[pa.Field] = [field.type.field(i) for i in range(field.type.num_fields)]
    if not any(part.name == "bytes" and is_binary(part.type) for part in inner):
        return None
    has_path = any(part.name == "path" and pa.types.is_string(part.type) for part in inner)
    path_at = f"{field.name}.path" if has_path else ""
    return ImageColumn(field.name, f"{field.name}.bytes", path_at)
