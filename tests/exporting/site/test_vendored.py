"""Test that the onnxruntime-web files are those of the npm package."""

import gzip
import hashlib
from importlib.resources import files

import pytest

FOLDER = files("clipfeat.exporting.site") / "onnxruntime_web"
DIGESTS = {
    "ort.js": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm.gz": (
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"
    ),
}
"""SHA-256 of the unpacked files of onnxruntime-web 1.30.0."""


@pytest.mark.parametrize("name", DIGESTS)
def test_files_are_unchanged(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    unpacked = gzip.decompress(data) if name.endswith(".gz") else data
    assert hashlib.sha256(unpacked).hexdigest() == DIGESTS[name]


def test_the_version_is_the_documented_one() -> None:
    start = (FOLDER / "ort.js").read_text(encoding="utf-8")[:40]
    assert start.splitlines()[1].split()[-1].strip("v") in (FOLDER / "README.md").read_text()
