"""Tests of C2PA manifests of untrusted files."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from clipfeat.errors import DecodeError, MissingExtraError
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.serving import provenance
from clipfeat.serving.provenance import MANIFESTS, _summary, file_manifest, read_manifest
from clipfeat.serving.source_types import SourceType
from tests.serving.signing import signed_jpeg


@pytest.fixture(scope="module")
def signed() -> bytes:
    return signed_jpeg()


def test_a_manifest_is_validated_in_a_child_process(signed: bytes) -> None:
    """The source type is read. A changed image is invalid, and a plain one has no manifest."""
    start = signed.index(b"\xff\xda")
    plain = signed[:2] + signed[signed.index(b"\xff\xdb") :]
    with IsolatedDecoder(MANIFESTS) as reader:
        manifest = file_manifest(signed, reader)
        assert manifest is not None
        assert manifest.is_valid
        assert manifest.problems == ()
        assert (manifest.generator, manifest.signer) == (
            "Generator <i>X</i> 1", "Example <b>Org</b>"
        )  # fmt: skip
        assert manifest.actions == ("created by Imagine",)
        (stated,) = manifest.source_types
        assert stated == SourceType("trainedAlgorithmicMedia", "C2PA manifest")
        assert stated.is_generated
        # Neighbours of the byte 255 are left alone, because it starts a marker.
        places = range(start + 40, len(signed))
        place = next(i for i in places if not {254, 255} & {*signed[i - 1 : i + 2]})
        changed = signed[:place] + bytes([signed[place] ^ 1]) + signed[place + 1 :]
        tampered = file_manifest(changed, reader)
        assert tampered is not None
        assert not tampered.is_valid
        assert "hash" in tampered.problems[0]
        assert file_manifest(plain, reader) is None
        assert file_manifest(b"BM", reader) is None
        with pytest.raises(DecodeError, match="cannot be read"):
            file_manifest(b"GIF89a", reader)


@pytest.fixture
def requests() -> Iterator[tuple[str, list[str]]]:
    """Return the address of a server, and the list of paths that are requested from it."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/manifest.c2pa", paths
        server.shutdown()


def test_manifests_elsewhere_are_not_fetched(requests: tuple[str, list[str]]) -> None:
    """A file cannot make the server send requests."""
    address, paths = requests
    with pytest.raises(DecodeError, match=f"stored at {address}, which is not fetched"):
        read_manifest(signed_jpeg(remote=address))
    assert paths == []


def test_values_of_any_type_are_shortened() -> None:
    """A signed manifest may hold any JSON. Unusable values are errors."""
    actions = [{"action": ["x" * 999], "digitalSourceType": 7, "softwareAgent": 1}] * 99
    manifest = {"assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}]}
    store = {"active_manifest": "a", "manifests": {"a": manifest}, "validation_status": [{}] * 99}
    summary = _summary(store)
    assert len(json.dumps(summary)) < 10_000
    assert summary["source_types"] == ["7"]
    with pytest.raises((AttributeError, TypeError)):
        _summary({"active_manifest": "a", "manifests": {"a": {"assertions": ["text"]}}})


def test_the_library_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library, the error names the extra."""
    monkeypatch.setattr(provenance, "find_spec", lambda name: None)
    with (
        pytest.raises(MissingExtraError, match=r"clipfeat\[provenance\]"),
        IsolatedDecoder(MANIFESTS) as reader,
    ):
        file_manifest(b"", reader)
