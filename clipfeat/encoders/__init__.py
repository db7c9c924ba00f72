"""Encoders: from images to features. Importing this package imports no torch."""

from clipfeat.encoders.options import CROPS, EncoderOptions, options_of
from clipfeat.encoders.registry import (
    ALIASES,
    DEFAULT_ENCODER,
    ENCODER_LIBRARIES,
    EncoderLibrary,
    encoder_libraries,
    list_encoders,
    local_file,
    open_encoder,
)

__all__ = [
    "ALIASES",
    "CROPS",
    "DEFAULT_ENCODER",
    "ENCODER_LIBRARIES",
    "EncoderLibrary",
    "EncoderOptions",
    "encoder_libraries",
    "list_encoders",
    "local_file",
    "open_encoder",
    "options_of",
]
