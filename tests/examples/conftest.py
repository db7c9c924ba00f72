"""Synthetic images and videos for the example scripts, and a fixture that runs a script."""

import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
import skimage.data
from PIL import Image, ImageFilter

from tests.conftest import texture
from tests.kept_decoders import kept_decoders

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., str]


@pytest.fixture(scope="module", autouse=True)
def decoders() -> Iterator[None]:
    """Keep the decoding processes for the next script."""
    with kept_decoders():
        yield


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a script of the folder ``examples`` in `tmp_path`, and return its standard output.

    The script runs in this process. The imports of a new process take most of its time.
    """
    monkeypatch.chdir(tmp_path)

    def run_script(name: str, *arguments: object) -> str:
        script = str(ROOT / "examples" / name)
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        capsys.readouterr()
        runpy.run_path(script, run_name="__main__")
        return capsys.readouterr().out

    return run_script


@pytest.fixture
def run_alone(tmp_path: Path) -> Run:
    """Run a script like `run`, but in a process of its own."""

    def run_script(name: str, *arguments: object) -> str:
        command = [sys.executable, str(ROOT / "examples" / name), *map(str, arguments)]
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
        result = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run_script


def write_images(folder: Path, rng: np.random.Generator, counts: dict[str, int]) -> Path:
    """Write noise as ``real`` and smooth textures as ``fake``."""
    for label, n in counts.items():
        (folder / label).mkdir(parents=True)
        for number in range(n):
            path = folder / label / f"{label}-{number:02d}.png"
            texture(rng, smooth=label == "fake", size=64).save(path)
    return folder


@pytest.fixture(scope="session")
def image_sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Write imbalanced training images, and test images."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    train = write_images(folder / "train", rng, {"real": 24, "fake": 9})
    return train, write_images(folder / "test", rng, {"real": 4, "fake": 4})


@pytest.fixture(scope="session")
def generators(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a table of photographs and of three generators, each with its own tint."""
    folder, rng = tmp_path_factory.mktemp("generators"), np.random.default_rng(0)
    rows = []
    for generator, n in {"": 24, "own": 16, "external": 16, "other": 16}.items():
        for number in range(n):
            path = f"{generator or 'photo'}-{number:02d}.png"
            image = texture(rng, smooth=bool(generator), size=64)
            if generator == "other":
                image = image.filter(ImageFilter.GaussianBlur(1))
            image.save(folder / path)
            rows.append((path, "fake" if generator else "real", generator, path))
    table = pd.DataFrame(rows, columns=["path", "label", "generator", "group"])
    table.to_csv(folder / "images.csv", index=False)
    return folder / "images.csv"


def write_video(path: Path, frames: list[np.ndarray]) -> None:
    """Write a video with one frame per second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as out:
        stream = out.add_stream("libx264", rate=1, options={"crf": "10"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode())


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Write videos of the astronaut, unchanged (``real``) or blurred (``fake``)."""
    folder, rng = tmp_path_factory.mktemp("videos"), np.random.default_rng(0)
    astronaut = Image.fromarray(skimage.data.astronaut())
    for part, n in (("train", 5), ("new", 2)):
        for label in ("real", "fake"):
            for number in range(n):
                frames = []
                for _ in range(2):
                    left, top = (int(value) for value in rng.integers(100, 140, 2) - (0, 100))
                    cut = astronaut.crop((left, top, left + 192, top + 192))
                    if label == "fake":
                        cut = cut.filter(ImageFilter.GaussianBlur(2.5))
                    frames.append(np.asarray(cut))
                write_video(folder / part / label / f"{number}.mp4", frames)
    return folder / "train", folder / "new"
