"""Encoders, which map images to features. Importing this package does not import torch."""

from clipfeat.encoders.encoder_options import CROPS, EncoderOptions
from clipfeat.encoders.registry import (
    ALIASES,
    DEFAULT_ENCODER,
    ENCODER_ALIASES,
    ENCODER_LIBRARIES,
    EncoderAlias,
    EncoderLibrary,
    encoder_libraries,
    list_encoders,
    local_file,
    open_encoder,
    options_of,
)

__all__ = [
    "ALIASES",
    "CROPS",
    "DEFAULT_ENCODER",
    "ENCODER_ALIASES",
    "ENCODER_LIBRARIES",
    "EncoderAlias",
    "EncoderLibrary",
    "EncoderOptions",
    "encoder_libraries",
    "list_encoders",
    "local_file",
    "open_encoder",
    "options_of",
]
