"""Tests of the table of encoder arguments."""

from clipfeat.encoder_arguments import ARGUMENTS
from clipfeat.encoders.registry import ENCODER_LIBRARIES

FORBIDDEN = ("file", "dir", "url", "pretrained", "checkpoint", "cache", "hub", "cfg", "path")


def test_every_library_has_its_arguments() -> None:
    """Every library has a row, because a missing row would allow any argument."""
    assert set(ARGUMENTS) == set(ENCODER_LIBRARIES)


def test_no_argument_leads_to_a_file_or_an_address() -> None:
    """No argument like ``cache_dir`` or ``pretrained_cfg_overlay`` is allowed."""
    names = [name for arguments in ARGUMENTS.values() for name in arguments]
    assert not [name for name in names for part in FORBIDDEN if part in name.split("_")]
