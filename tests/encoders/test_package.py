"""Tests of encoders whose weights come from an installed package."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from clipfeat.encoders import EncoderOptions, open_encoder
from clipfeat.encoders import package as packages
from clipfeat.encoders.package import find_weights, named_as_in
from clipfeat.errors import MissingExtraError, UnknownNameError, WeightsError
from clipfeat.images.decode import RGB

CPU = EncoderOptions(device="cpu", precision="fp32")
# Means of eight blocks of 160 features of each of three images. They were computed with the code of
# the package efficientnet-lite-pytorch 0.1.0, timm's transform, and torch 2.14 on an x86-64 CPU.
REFERENCES = {
    "efficientnet-lite0": [
        [0.0644, 0.0490, 0.0942, 0.0459, 0.0677, 0.0976, 0.0500, 0.0718],
        [0.1782, 0.1892, 0.2326, 0.1295, 0.2404, 0.2582, 0.1694, 0.1743],
        [0.0776, 0.0591, 0.0792, 0.0541, 0.0313, 0.0802, 0.0337, 0.0411],
    ],
    "efficientnet-lite1": [
        [0.0665, 0.0375, 0.0694, 0.0844, 0.0678, 0.1119, 0.0832, 0.0688],
        [0.1956, 0.2077, 0.1345, 0.1832, 0.1754, 0.2650, 0.2156, 0.1974],
        [0.1267, 0.1066, 0.1162, 0.1340, 0.1112, 0.0905, 0.1689, 0.1002],
    ],
    "efficientnet-lite2": [
        [0.0705, 0.0898, 0.0529, 0.0673, 0.0796, 0.0929, 0.1573, 0.1101],
        [0.1630, 0.1580, 0.0836, 0.1476, 0.0955, 0.1379, 0.1725, 0.1475],
        [0.0608, 0.0613, 0.0448, 0.0295, 0.0456, 0.0794, 0.0474, 0.0524],
    ],
}


def generated() -> list[RGB]:
    """Compute an image with a gradient, rings and squares, in integers."""
    y, x = np.mgrid[:300, :280]
    gradient = np.stack([x * 255 // 279, y * 255 // 299, (x + y) * 255 // 578], axis=2)
    rings = np.stack([(x * x + y * y) // (40 + 20 * i) % 256 for i in range(3)], axis=2)
    squares = np.stack([(x // 16 + y // (16 + 8 * i)) % 2 * 200 + 20 for i in range(3)], axis=2)
    return [image.astype(np.uint8) for image in (gradient, rings, squares)]


@pytest.mark.parametrize(("name", "size"), [("efficientnet-lite0", 224),
                         ("efficientnet-lite1", 240), ("efficientnet-lite2", 260)])  # fmt: skip
def test_features_equal_those_of_the_original_network(name: str, size: int) -> None:
    """Features equal those that the network's original code computed."""
    encoder = open_encoder(name, CPU)
    assert encoder.spec.name == f"package:{name}"
    assert encoder.spec.input_size == (size, size)
    rows = encoder.encode_images(generated())
    assert rows.shape == (3, 1280)
    assert np.abs(rows.reshape(3, 8, 160).mean(2) - REFERENCES[name]).max() < 1e-3


def test_the_package_is_not_imported() -> None:
    """Only the weights file is read. The package's code does not run."""
    script = (
        "import socket, sys\n"
        "from clipfeat.encoders import EncoderOptions, open_encoder\n"
        "def refuse(*args, **kwargs): raise AssertionError('network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "open_encoder('efficientnet-lite0', EncoderOptions(device='cpu'))\n"
        "print([name for name in sys.modules if 'pytorch_model' in name])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert run.stdout.strip() == "[]", run.stderr


def test_options_of_timm() -> None:
    """Layers, pools, size, crop and arguments work as for a timm encoder."""
    options = EncoderOptions(
        device="cpu", layers="all", pool="mean+std", image_size=96, crop="tiles",
        arguments={"pad_type": "", "std": 0.25},
    )  # fmt: skip
    encoder = open_encoder("efficientnet-lite0", options)
    assert encoder.spec.layer == "".join(f"{i}/mean,{i}/std," for i in range(5)) + "last"
    assert encoder.spec.widths == (16, 16, 24, 24, 40, 40, 112, 112, 320, 320, 1280)
    assert encoder.preprocess(generated()[0]).shape == (12, 3, 96, 96)
    assert encoder.spec.std == (0.25, 0.25, 0.25)
    assert encoder.encode_images(generated()).shape == (3, encoder.spec.n_features)


def test_a_copy_of_the_file_is_loaded(tmp_path: Path) -> None:
    """``weights`` accepts the package's file, or a timm file with the same tensors."""
    own = find_weights("efficientnet-lite0")
    copy = tmp_path / "copy.pt"
    model = packages.timm.create_model("tf_efficientnet_lite0")
    weights = torch.load(own, weights_only=True)
    torch.save(named_as_in(model.state_dict(), weights), copy)
    specs = [
        open_encoder("efficientnet-lite0", EncoderOptions(weights=file, device="cpu")).spec
        for file in (None, own, copy)
    ]
    assert specs[0] == specs[1] == specs[2]


def test_weights_that_do_not_fit() -> None:
    """Other weights are refused, even if only the order of their shapes differs."""
    file = find_weights("efficientnet-lite1")
    options = EncoderOptions(weights=file, device="cpu")
    with pytest.raises(WeightsError, match="expected 296 tensors, got 386"):
        open_encoder("efficientnet-lite0", options)
    expected = {"bn1.weight": torch.zeros(2), "bn1.bias": torch.ones(2)}
    with pytest.raises(ValueError, match=r"expected bn1.weight of shape \(2,\), got b.bias"):
        named_as_in(expected, {"b.bias": torch.ones(2), "b.weight": torch.zeros(2)})
    with pytest.raises(ValueError, match=r"shape \(2,\), got b.weight of shape \(3,\)"):
        named_as_in(expected, {"b.weight": torch.ones(3), "b.bias": torch.zeros(2)})


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error names the package and the extra. A package without weights is also an error."""
    with pytest.raises(UnknownNameError, match="did you mean efficientnet-lite2"):
        open_encoder("package:efficientnet-lite9", CPU)
    monkeypatch.setitem(packages.ARCHITECTURES, "efficientnet-lite4", "tf_efficientnet_lite4")
    with pytest.raises(
        MissingExtraError, match=r"efficientnet-lite4-pytorch-model, .*clipfeat\[lite\]'"
    ):
        open_encoder("package:efficientnet-lite4", CPU)
    (tmp_path / "efficientnet_lite4_pytorch_model").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(WeightsError, match="has 0 files models/"):
        open_encoder("package:efficientnet-lite4", CPU)
