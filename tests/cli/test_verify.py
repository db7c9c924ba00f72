"""Tests of ``clipfeat verify``."""

from pathlib import Path

from clipfeat.store import load
from tests.cli.command_line import clipfeat, embed, succeed


def test_intact_files(image_folder: Path) -> None:
    """Intact files are described in one line."""
    embed()
    assert "out.h5: intact, 24 rows, 0 failures" in succeed("verify", "out.h5").stdout
    succeed("fit", "out.h5", "--cv", 0)
    assert "model.clipfeat: intact, logreg" in succeed("verify", "model.clipfeat").stdout


def test_damage_is_exit_code_6(image_folder: Path) -> None:
    """A flipped bit in a feature file or a model file gives exit code 6 and the file's name."""
    embed()
    succeed("fit", "out.h5", "--cv", 0)
    features = load("out.h5").X[3].tobytes()
    for name, middle in (("out.h5", features), ("model.clipfeat", b"PK\3\4")):
        data = bytearray(Path(name).read_bytes())
        data[data.index(middle) + 2] ^= 1
        Path(name).write_bytes(data)
        result = clipfeat("verify", name)
        assert result.exit_code == 6
        assert name in result.stderr
    assert clipfeat("verify", "none.h5").exit_code == 6
