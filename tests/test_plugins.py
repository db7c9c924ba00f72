"""Tests of plug-in entries in every kind of process."""

import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipfeat.errors import ClipfeatWarning
from clipfeat.system.plugins import with_plugins

PACKAGE = Path(__file__).parent / "example_plugin" / "clipfeat_example.py"
ENTRY_POINTS = """
[clipfeat.encoders]
colours = clipfeat_example:COLOURS
[clipfeat.classifiers]
bayes = clipfeat_example:BAYES
[clipfeat.metrics]
share_first = clipfeat_example:FIRST
[clipfeat.sources]
playlist = clipfeat_example:PLAYLISTS
"""


def write_wheel(folder: Path, entry_points: str) -> Path:
    """Write a wheel of the example package without building it, which would need the network."""
    info = "clipfeat_example-1.0.dist-info"
    files = {
        PACKAGE.name: PACKAGE.read_text(),
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: clipfeat-example\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": entry_points,
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    path = folder / "clipfeat_example-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@pytest.fixture(scope="module")
def clipfeat(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run the command line in a new environment in which the example package is installed."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    wheel = write_wheel(folder, ENTRY_POINTS)
    site = next((folder / "env").glob("lib/python*/site-packages"))
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "-q", "--target",
         str(site), str(wheel)],
        check=True,
    )  # fmt: skip
    # The new environment also sees the packages of this one, and the checkout under test.
    inherited = [p for p in sys.path if "site-packages" in p]
    root = Path(__file__).parents[1]
    (site / "inherited.pth").write_text("\n".join([str(root), *inherited]))
    environment = {**os.environ, "PYTHONPATH": str(root)}

    def run(*command: str) -> str:
        done = subprocess.run(
            [python, "-m", "clipfeat", *command],
            capture_output=True, text=True, check=False, env=environment, cwd=folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def features(clipfeat: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a feature file made with the plug-in's encoder and image source."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    lines = []
    for i in range(24):
        label = ("real", "fake")[i % 2]
        pixels = rng.integers(0, 120 if i % 2 else 255, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        lines.append(f"{i}.png {label}")
    (folder / "list.playlist").write_text("\n".join(lines))
    out = folder / "out.h5"
    clipfeat("embed", str(folder / "list.playlist"), str(out), "-e", "colours:mean")
    return out


def test_entries_are_listed(clipfeat: Callable[..., str]) -> None:
    """The commands list the package's encoders and its classifier."""
    assert "colours:mean" in clipfeat("encoders", "colours")
    assert "naive Bayes" in clipfeat("classifiers")


def test_encoder_and_source_run_on_ray(
    clipfeat: Callable[..., str], features: Path, tmp_path: Path
) -> None:
    """Ray workers open the plug-in's encoder and give the same rows."""
    pytest.importorskip("ray")
    from clipfeat.store import load

    out = tmp_path / "ray.h5"
    source = features.with_name("list.playlist")
    clipfeat("embed", str(source), str(out), "-e", "colours:mean", "--engine", "ray")
    here, there = load(features), load(out)
    assert dict(zip(here.paths, here.X.tolist(), strict=True)) == dict(
        zip(there.paths, there.X.tolist(), strict=True)
    )


@pytest.mark.parametrize(
    "where", [[], ["--time-limit", "300"], ["--engine", "ray"]], ids=["here", "child", "ray"]
)
def test_classifier_and_metric_run(
    clipfeat: Callable[..., str], features: Path, where: list[str]
) -> None:
    """A benchmark fits the plug-in's classifier and ranks by its metric."""
    if "ray" in where:
        pytest.importorskip("ray")
    printed = clipfeat(
        "benchmark", str(features), "--clf", "bayes,dummy", "--cv", "2", "--sort", "share_first",
        *where,
    )  # fmt: skip
    assert "bayes" in printed
    assert "failed" not in printed


def test_a_bad_entry_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that cannot be imported, or has a wrong type or a taken name, causes a warning."""
    with zipfile.ZipFile(
        write_wheel(
            tmp_path,
            "[clipfeat.sources]\nabsent = nowhere:X\nfolder = builtins:True\n"
            "wrong = builtins:str\n",
        )
    ) as archive:
        archive.extractall(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.warns(ClipfeatWarning) as caught:
        assert with_plugins({"folder": True}, "clipfeat.sources", bool) == {"folder": True}
    messages = " ".join(str(warning.message) for warning in caught)
    assert "'absent' of clipfeat.sources (nowhere:X) is ignored: it cannot be imported" in messages
    assert "(builtins:True) is ignored: it has the name of a built-in entry" in messages
    assert "its type is type, expected bool" in messages
