"""C2PA manifests: signed statements in a file about its origin (https://c2pa.org).

The library ``c2pa-python`` reads and validates a manifest without a network: manifests that are
stored elsewhere are not fetched, and certificates are not checked online. A valid signature shows
that the signed file has not changed since it was signed. It does not show who signed it, because
the certificate is not compared with a list of trusted ones.

`read_manifest` runs in a child process of `clipfeat.images.isolated`, because the files come from
strangers.
"""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image

from clipfeat.errors import DecodeError, missing_extra
from clipfeat.images.decode import NO_BUFFER, RGB, Decoded
from clipfeat.images.formats import HEAD_BYTES, recognise
from clipfeat.images.isolated import IsolatedDecoder, Isolation
from clipfeat.serving.source_types import SourceType

MANIFESTS = Isolation(
    "clipfeat.serving.provenance:read_manifest", seconds=10.0, wall_seconds=60.0, memory=2 * 2**30
)
"""The function that reads a manifest in a child process, with its limits."""
OFFLINE = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": False},
}
"""Settings of the library: nothing is fetched."""
MAX_ITEMS = 12
"""Maximum number of actions, problems and source types of a manifest."""
MAX_TEXT = 300
"""Maximum length of a text. Longer texts are shortened."""

_UNTRUSTED = "signingCredential.untrusted"


@dataclass(frozen=True)
class Manifest:
    """The C2PA manifest of a file, with the source types of the manifests of its ingredients.

    Parameters
    ----------
    is_valid : bool
        Whether the signature is valid and the file has not changed since.
    generator : str
        Program that made the manifest.
    signer : str
        Organisation of the signing certificate, which is not compared with a trust list.
    time : str
        Time of the signature, as stated by a time stamp authority. Empty if there is none.
    actions : sequence of str
        What was done to the image, such as ``"c2pa.created"``.
    source_types : sequence of SourceType
        Digital source types that the actions state.
    problems : sequence of str
        Failed checks, in the words of c2pa-python.
    """

    is_valid: bool
    generator: str = ""
    signer: str = ""
    time: str = ""
    actions: tuple[str, ...] = ()
    source_types: tuple[SourceType, ...] = ()
    problems: tuple[str, ...] = ()


def file_manifest(data: bytes, reader: IsolatedDecoder) -> Manifest | None:
    """Read and validate the C2PA manifest of a file in a child process.

    Parameters
    ----------
    data : bytes
        The whole file.
    reader : IsolatedDecoder
        Reader with the isolation `MANIFESTS`.

    Returns
    -------
    Manifest or None
        None if the file has no manifest.

    Raises
    ------
    DecodeError
        If the manifest cannot be read, or if the child process crashes or exceeds a limit.
    MissingExtraError
        If c2pa-python is not installed.
    """
    if find_spec("c2pa") is None:
        raise missing_extra("reading C2PA manifests", "c2pa-python", "provenance")
    with reader.decoded(data) as reply:
        summary = json.loads(reply.format)
    if summary is None:
        return None
    return Manifest(
        is_valid=summary["is_valid"],
        generator=summary["generator"],
        signer=summary["signer"],
        time=summary["time"],
        actions=tuple(summary["actions"]),
        source_types=tuple(
            SourceType.from_uri(uri, "C2PA manifest") for uri in summary["source_types"]
        ),
        problems=tuple(summary["problems"]),
    )


def read_manifest(data: bytes, buffer: RGB = NO_BUFFER) -> Decoded:
    """Read the manifest of a file. The values of the manifest may have any type and size.

    Parameters
    ----------
    data : bytes
        The whole file.
    buffer : ndarray
        Unused.

    Returns
    -------
    Decoded
        An image of one pixel, whose attribute ``format`` holds the fields of `Manifest` as JSON, or
        ``"null"`` if there is no manifest.

    Raises
    ------
    DecodeError
        If the manifest is damaged.
    """
    import c2pa

    store: dict[str, Any] = {}
    Image.init()
    suffix = recognise(data[:HEAD_BYTES])
    mime = Image.MIME.get(Image.EXTENSION.get(suffix, ""), f"image/{suffix.removeprefix('.')}")
    if mime in c2pa.Reader.get_supported_mime_types():
        try:
            with c2pa.Context.from_dict(OFFLINE) as context:
                reader = c2pa.Reader.try_create(mime, io.BytesIO(data), context=context)
                if reader is not None:
                    with reader:
                        store = json.loads(reader.json())
        except c2pa.C2paError as error:
            url = str(error).partition("must fetch remote manifests from url ")[2]
            if url:
                raise DecodeError(
                    f"the manifest is stored at {url}, which is not fetched"
                ) from error
            raise DecodeError(f"the manifest cannot be read: {error}") from error
    summary = json.dumps(_summary(store) if store else None)
    return Decoded(np.zeros((1, 1, 3), dtype=np.uint8), summary)


def _summary(store: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a `Manifest`, with the source types as URIs."""
    manifests = store.get("manifests") or {}
    active = manifests.get(store.get("active_manifest")) or {}
    infos = active.get("claim_generator_info") or []
    names = [f"{info.get('name', '')} {info.get('version', '')}".strip() for info in infos]
    signature = active.get("signature_info") or {}
    uris = [
        action["digitalSourceType"]
        for manifest in manifests.values()
        for action in _actions(manifest)
        if action.get("digitalSourceType")
    ]
    problems = [
        status.get("explanation") or status.get("code")
        for status in store.get("validation_status") or ()
        if status.get("code") != _UNTRUSTED
    ]
    return {
        "is_valid": store.get("validation_state") in {"Valid", "Trusted"},
        "generator": _short(", ".join(filter(None, names)) or active.get("claim_generator", "")),
        "signer": _short(signature.get("issuer") or ""),
        "time": _short(signature.get("time") or ""),
        "actions": [_short(_action_text(action)) for action in [*_actions(active)][:MAX_ITEMS]],
        "source_types": [_short(uri) for uri in [*dict.fromkeys(uris)][:MAX_ITEMS]],
        "problems": [_short(problem) for problem in problems[:MAX_ITEMS]],
    }


def _actions(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for assertion in manifest.get("assertions") or ():
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            yield from (assertion.get("data") or {}).get("actions") or ()


def _action_text(action: Mapping[str, Any]) -> str:
    agent = action.get("softwareAgent") or ""
    agent = agent.get("name", "") if isinstance(agent, Mapping) else agent
    name = str(action.get("action", "")).removeprefix("c2pa.")
    return f"{name} by {agent}" if agent else name


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
