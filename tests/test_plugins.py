"""Tests of plug-in entries in every kind of process."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable, Sequence
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


RUN_COMMANDS = """
import json, sys
from contextlib import nullcontext
from clipfeat.cli import app
from clipfeat.system.ray_connection import connected

commands = json.loads(sys.argv[1])
is_on_ray = any("ray" in command for command in commands)
with connected(None, least_cpus=2) if is_on_ray else nullcontext():
    for command in commands:
        if code := app(command, standalone_mode=False):
            sys.exit(code)
        print(end="\\0", flush=True)
"""
"""Script that runs several commands in one process, because each start takes seconds."""
BAYES = ("--clf", "bayes", "--cv", "2", "--sort", "share_first")

RunCommands = Callable[..., list[str]]


@pytest.fixture(scope="module")
def clipfeat(tmp_path_factory: pytest.TempPathFactory) -> RunCommands:
    """Run commands in a new environment in which the example package is installed.

    They run in a folder with images and a list of them. Their outputs are returned.
    """
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
    write_playlist(folder)

    def run(*commands: Sequence[str]) -> list[str]:
        done = subprocess.run(
            [python, "-c", RUN_COMMANDS, json.dumps(commands)],
            capture_output=True, text=True, check=False, env=environment, cwd=folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        *outputs, rest = done.stdout.split("\0")
        assert (len(outputs), rest) == (len(commands), "")
        return outputs

    return run


def write_playlist(folder: Path) -> None:
    """Write images of two classes, and a list of them for the plug-in's image source."""
    rng = np.random.default_rng(0)
    lines = []
    for i in range(24):
        label = ("real", "fake")[i % 2]
        pixels = rng.integers(0, 120 if i % 2 else 255, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        lines.append(f"{i}.png {label}")
    (folder / "list.playlist").write_text("\n".join(lines))


def embed(out: Path) -> tuple[str, ...]:
    """Return a command that uses the plug-in's image source and encoder."""
    return ("embed", "list.playlist", str(out), "-e", "colours:mean")


def test_entries_run(clipfeat: RunCommands, tmp_path: Path) -> None:
    """Commands list and use the entries, also in child processes.

    A benchmark fits the plug-in's classifier and ranks by its metric.
    """
    out = tmp_path / "out.h5"
    encoders, classifiers, _, here, in_child = clipfeat(
        ("encoders", "colours"),
        ("classifiers",),
        embed(out),
        ("benchmark", str(out), *BAYES),
        ("benchmark", str(out), *BAYES, "--time-limit", "300"),
    )
    assert "colours:mean" in encoders
    assert "naive Bayes" in classifiers
    for printed in (here, in_child):
        assert "bayes" in printed
        assert "failed" not in printed


def test_entries_run_on_ray(clipfeat: RunCommands, tmp_path: Path) -> None:
    """Ray workers open the plug-in's encoder, give the same rows, and fit its classifier."""
    pytest.importorskip("ray")
    from clipfeat.store import load

    local, on_ray = tmp_path / "local.h5", tmp_path / "ray.h5"
    *_, printed = clipfeat(
        embed(local),
        (*embed(on_ray), "--engine", "ray"),
        ("benchmark", str(on_ray), *BAYES, "--engine", "ray"),
    )
    here, there = load(local), load(on_ray)
    assert dict(zip(here.paths, here.X.tolist(), strict=True)) == dict(
        zip(there.paths, there.X.tolist(), strict=True)
    )
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
