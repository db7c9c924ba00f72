"""Tests of the encoder registry and of encoder plug-ins."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import open_clip
import pytest
import timm
import torch
from open_clip.model import _build_vision_tower

from clipfeat.encoders import (
    ENCODER_ALIASES,
    EncoderOptions,
    encoder_libraries,
    list_encoders,
    local_file,
    open_encoder,
    options_of,
)
from clipfeat.encoders.package import ARCHITECTURES
from clipfeat.errors import UnknownNameError, UsageError
from clipfeat.system import plugins

PACKAGE = """
from dataclasses import replace

from clipfeat.encoders import EncoderLibrary

library = EncoderLibrary(
    build="brightness:build", list_names="brightness:list_names", arguments=("gain",)
)


def list_names():
    return ["mean", "median"]


def build(name, options, *, n_images, samples):
    import json

    import torch

    from clipfeat.encoders.encoder import Encoder, pick_devices
    from clipfeat.spec import EncoderSpec

    gain = (options.arguments or {}).get("gain", 1)
    spec = EncoderSpec(
        f"brightness:{name}", "", False, "last", json.dumps({"gain": gain}), (8, 8), "none", 1.0,
        "center", (0.0,), (1.0,), 3, "fp32", "rgb8-1",
    )
    return Encoder(
        spec,
        preprocess=lambda pixels: torch.from_numpy(pixels.mean((0, 1)) * gain),
        forward=lambda batch: batch,
        device=pick_devices(options.device)[0],
    )
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Put a package with an entry point on the path, like an installer."""
    (tmp_path / "brightness.py").write_text(PACKAGE)
    info = tmp_path / "brightness-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brightness\nVersion: 1.0\n")
    points = "[clipfeat.encoders]\nbrightness = brightness:library\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path)
    plugins._plugins.cache_clear()
    yield tmp_path
    plugins._plugins.cache_clear()
    sys.modules.pop("brightness", None)


@pytest.mark.usefixtures("installed")
def test_plugin_encoder_is_opened_and_listed() -> None:
    """An encoder of an installed plug-in is listed, opened, and opened again from its spec."""
    assert "brightness" in encoder_libraries()
    assert list_encoders("brightness") == ["brightness:mean", "brightness:median"]
    options = EncoderOptions(device="cpu", arguments={"gain": 2})
    encoder = open_encoder("brightness:mean", options)
    image = np.full((4, 4, 3), 10, np.uint8)
    assert encoder.encode_images([image]).tolist() == [[20.0, 20.0, 20.0]]
    again = open_encoder(encoder.spec.name, options_of(encoder.spec, device="cpu"))
    assert again.spec == encoder.spec
    with pytest.raises(UsageError, match=r"no --encoder-arg mean \(it takes: gain\)"):
        open_encoder("brightness:mean", EncoderOptions(arguments={"mean": 0.5}))
    with pytest.raises(UnknownNameError, match="did you mean brightness"):
        open_encoder("brightnes", options)


def test_plugin_encoder_is_listed_by_the_command(installed: Path) -> None:
    """The command in a new process lists the plug-in's encoders."""
    script = "\n".join(
        [
            "import sys",
            f"sys.path[:] = {[str(installed), *sys.path]!r}",
            "sys.argv = ['clipfeat', 'encoders', 'bright*']",
            "from clipfeat.cli import main",
            "main()",
        ]
    )
    run = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert run.stdout.split() == ["brightness:mean", "brightness:median"], run.stderr


@pytest.mark.parametrize(
    ("name", "weights", "file"),
    [
        ("onnx:face.onnx", None, "face.onnx"),
        ("onnx:face.onnx", "moved.onnx", "moved.onnx"),
        ("timm:test_vit", None, None),
        ("clip-vit-b-32", Path("clip.pt"), "clip.pt"),
        ("nothing:x", None, None),
    ],
)
def test_local_file(name: str, weights: str | Path | None, file: str | None) -> None:
    """The local file is the given weights file, or the name for libraries that name files."""
    assert local_file(name, weights) == file


@pytest.mark.parametrize("alias", ENCODER_ALIASES)
def test_aliases_state_the_size_and_the_licence(alias: str) -> None:
    """Each alias has the network's number of parameters and timm's licence."""
    row = ENCODER_ALIASES[alias]
    library, _, name = row.name.partition(":")
    with torch.device("meta"):
        if library == "open_clip":
            architecture, _, tag = name.partition("/")
            config = open_clip.get_model_config(architecture)
            network = _build_vision_tower(config["embed_dim"], config["vision_cfg"], False)
            hub = open_clip.get_pretrained_cfg(architecture, tag)["hf_hub"]
            name = hub.removeprefix("timm/").rstrip("/")
        else:
            name = ARCHITECTURES.get(name, name)
            network = timm.create_model(name, num_classes=0)
    parameters = sum(tensor.numel() for tensor in network.parameters())
    assert row.parameters == pytest.approx(parameters / 1e6, rel=0.01)
    if timm.is_model(name.partition(".")[0]):
        assert row.licence == timm.get_pretrained_cfg(name).license
