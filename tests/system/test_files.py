"""Archives of arrays from a stranger."""

import zipfile
from pathlib import Path

import pytest

from clipfeat.errors import RefusedFileError
from clipfeat.system.files import read_arrays


def test_a_decompression_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """The sizes in the archive's directory are checked before anything is unpacked."""
    file = tmp_path / "x.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(2**28 + 1))
    with pytest.raises(RefusedFileError, match="would unpack to 268435457 bytes"):
        read_arrays(file)
