"""Tests of the cache that remembers the paths of weights files."""

import os
from pathlib import Path

import pytest

import clipfeat
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.encoders.known_weights import remember_weights, remembered_weights
from clipfeat.errors import UsageError, WeightsError
from clipfeat.system.user_cache import user_cache

DIGEST = "0123456789abcdef" * 2
NETWORK = "timm:test_vit.r160_in1k"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Write random weights of a small network to a safetensors file."""
    import timm
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    save_file(timm.create_model("test_vit").state_dict(), path)
    return path


def test_a_note_leads_to_the_file_until_it_changes(tmp_path: Path) -> None:
    """A file is found until it is changed or moved."""
    file = tmp_path / "weights.pt"
    file.write_bytes(b"weights")
    assert remembered_weights(DIGEST) is None
    remember_weights(DIGEST, file)
    assert remembered_weights(DIGEST) == file
    os.utime(file, (1, 1))
    assert remembered_weights(DIGEST) is None
    remember_weights(DIGEST, file)
    file.unlink()
    assert remembered_weights(DIGEST) is None


@pytest.mark.parametrize("note", [b"", b"[]", b'{"path": 3, "stat": []}', b"\xff", b"{}"])
def test_a_damaged_note_is_ignored(note: bytes) -> None:
    """A damaged entry of the cache is ignored."""
    (user_cache() / "weights").mkdir(parents=True)
    (user_cache() / "weights" / f"{DIGEST}.json").write_bytes(note)
    assert remembered_weights(DIGEST) is None


@pytest.mark.parametrize("digest", ["", "../../x", "A" * 32, "/etc/passwd"])
def test_a_digest_from_a_file_cannot_leave_the_cache(digest: str, tmp_path: Path) -> None:
    """A digest that is not a hash, as in a hostile file, is never used as a path."""
    (tmp_path / "x").touch()
    remember_weights(digest, tmp_path / "x")
    assert remembered_weights(digest) is None
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    """If the cache cannot be written, the next prediction asks for the file again."""
    (tmp_path / "cache").touch()
    remember_weights(DIGEST, tmp_path / "cache")
    assert remembered_weights(DIGEST) is None


def test_prediction_finds_the_weights_of_two_sizes(
    image_folder: Path, tmp_path: Path, weights: Path
) -> None:
    """Weights are found without a stored path. On another machine, the error asks for them."""
    outputs = [tmp_path / f"{size}.h5" for size in (160, 224)]
    for size, out in zip((160, 224), outputs, strict=True):
        options = EncoderOptions(weights=weights, image_size=size, device="cpu", precision="fp32")
        clipfeat.embed(image_folder, out, encoder=NETWORK, options=options)
        assert str(weights).encode() not in out.read_bytes().replace(b"\\", b"")
    model = clipfeat.fit(clipfeat.load(*outputs), "logreg", cv=0)
    model.save(tmp_path / "model.clipfeat")
    assert str(tmp_path).encode() not in (tmp_path / "model.clipfeat").read_bytes()
    predictions = clipfeat.predict(tmp_path / "model.clipfeat", image_folder)
    assert len(predictions.paths) == 24
    moved = weights.rename(tmp_path / "moved.safetensors")
    with pytest.raises(
        WeightsError, match=r"read from the file weights\.safetensors, .* --weights"
    ):
        clipfeat.predict(tmp_path / "model.clipfeat", image_folder)
    clipfeat.predict(tmp_path / "model.clipfeat", image_folder, weights=moved)
    clipfeat.predict(tmp_path / "model.clipfeat", image_folder)
    with pytest.raises(UsageError, match="got 3 files of weights, but 1 are needed"):
        clipfeat.predict(tmp_path / "model.clipfeat", image_folder, weights=[moved] * 3)
