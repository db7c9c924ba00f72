"""Types of the columns of Parquet files."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def is_binary(kind: "pa.DataType") -> bool:
    """Return whether a type is bytes, and not text."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return is_binary(kind.value_type)
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def plain_columns(schema: "pa.Schema") -> list[str]:
    """Return the names of the columns of text, numbers, truth values and times."""
    import pyarrow as pa

    return [
        field.name
        for field in schema
        if not pa.types.is_nested(getattr(field.type, "storage_type", field.type))
        and not is_binary(field.type)
    ]
