"""Shared fixtures: small generated images and features."""

import os
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

# Read when the hub's library is first imported: no test may wait for a network.
os.environ["HF_HUB_OFFLINE"] = "1"
# Ray lowers the priority of its workers, so that they wait for the other processes of the tests.
os.environ.setdefault("RAY_worker_niceness", "0")
# Ray ends workers after a second without work. The next test would import torch again.
os.environ.setdefault("RAY_idle_worker_killing_time_threshold_ms", "60000")
# Read when the numerical libraries are first imported. With a thread for each core in each process
# of pytest-xdist, threads wait for each other: two processes on two cores took 1.8 times as much
# processor time.
if n_processes := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    n_threads = max(1, (os.cpu_count() or 1) // n_processes)
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", str(n_threads))

import hypothesis
import numpy as np
import pytest
from PIL import Image

from clipfeat.features import FeatureSet
from clipfeat.spec import EncoderSpec
from clipfeat.store import FeatureWriter, Row
from clipfeat.system import progress
from clipfeat.system.progress import Phase

# The time of an example says nothing on a busy machine.
hypothesis.settings.register_profile("clipfeat", deadline=None)
hypothesis.settings.load_profile("clipfeat")

SHARED = Path(__file__).resolve().parents[2] / "shared"


SLOW_FILES = (
    "examples/", "docs/", "training/", "embedding/test_on_ray.py", "faults/", "test_plugins.py",
    "cli/", "exporting/", "evaluate/", "prediction/", "fits/test_on_ray.py", "encoders/", "report/",
)  # fmt: skip
"""Files and folders of slow tests, in the order in which they start."""


def pytest_configure(config: pytest.Config) -> None:
    """Let pytest-xdist distribute the files in the order of `pytest_collection_modifyitems`."""
    config.option.loadscopereorder = False


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option ``--full``, which runs all cases of the fault tests and takes hours."""
    parser.addoption("--full", action="store_true", help="full counts of the fault tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that this machine cannot run, and start with the files of slow tests.

    If a slow file started last, the other processes would wait for it.
    """
    tests = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        path = item.path.relative_to(tests).as_posix() if tests in item.path.parents else ""
        slow = (i for i, start in enumerate(SLOW_FILES) if path.startswith(start))
        return next(slow, len(SLOW_FILES))

    items.sort(key=rank)
    for item in items:
        if item.get_closest_marker("shared") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason="no shared images beside the checkout"))
        if item.get_closest_marker("gpu"):
            import torch

            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the tests and their child processes a cache folder that is not the user's."""
    folder = tmp_path_factory.mktemp("cache")
    fonts = str(Path.home() / ".cache" / "matplotlib")  # a new list of fonts takes seconds
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLCONFIGDIR", os.environ.get("MPLCONFIGDIR", fonts))
        patch.setenv("XDG_CACHE_HOME", str(folder))
        patch.setenv("LOCALAPPDATA", str(folder))  # on Windows
        yield folder / "clipfeat"


@pytest.fixture
def shared() -> Path:
    return SHARED


def texture(rng: np.random.Generator, *, smooth: bool, size: int = 48) -> Image.Image:
    """Return noise at all or only at low frequencies, which the spectrum encoder separates."""
    if not smooth:
        return Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8))
    small = rng.integers(0, 256, (size // 4, size // 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC)


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Return a folder with twelve images each in the subfolders ``real`` and ``fake``."""
    rng = np.random.default_rng(0)
    for label, smooth in (("real", False), ("fake", True)):
        (tmp_path / "images" / label).mkdir(parents=True)
        for number in range(12):
            path = tmp_path / "images" / label / f"{label}-{number:02d}.png"
            texture(rng, smooth=smooth).save(path)
    return tmp_path / "images"


@pytest.fixture
def one_core() -> Iterator[None]:
    """Limit the encoder to one batch at a time."""
    import torch

    cores = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(cores)


def make_spec(name: str = "spectrum", n_features: int = 6, **changes: object) -> EncoderSpec:
    """Return the spec of an encoder that does not exist."""
    values: dict[str, object] = {
        "weights": "", "untrained": False, "layer": "last", "options": "{}",
        "input_size": (32, 32), "interpolation": "none", "crop_pct": 1.0, "crop_mode": "center",
        "mean": (0.0,), "std": (1.0,), "precision": "fp32", "decode": "rgb8-1",
    }  # fmt: skip
    return EncoderSpec(name=name, n_features=n_features, **(values | changes))  # type: ignore[arg-type]


def make_features(
    n_per_class: int = 20,
    classes: tuple[str, ...] = ("real", "fake"),
    *,
    n_features: int = 6,
    apart: float = 2.0,
    seed: int = 0,
    groups: bool = False,
    name: str = "spectrum",
) -> FeatureSet:
    """Return Gaussian classes whose means are `apart` standard deviations apart."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(classes)), n_per_class)
    X = rng.normal(size=(len(y), n_features)) + apart * y[:, None] / np.sqrt(n_features)
    paths = np.array([f"{classes[code]}/{i:04d}.png" for i, code in enumerate(y)])
    return FeatureSet(
        X=X.astype(np.float32),
        y=y.astype(np.int64),
        classes=classes,
        paths=paths,
        keys=np.array([f"{i:032x}".encode() for i in range(len(y))]),
        groups=np.array([f"g{i % 10}" for i in range(len(y))]) if groups else None,
        specs=(make_spec(name, n_features),),
    )


def write_parts(path: Path, features: FeatureSet, n_parts: int = 3) -> Path:
    """Write features into a file of unmerged parts."""
    with FeatureWriter(path, features.specs[0]) as writer:
        for rows in np.array_split(np.arange(len(features)), n_parts):
            some = features.take(rows)
            groups = some.groups if some.groups is not None else [""] * len(rows)
            columns = [zip(some.columns, values, strict=True)
                       for values in zip(*some.columns.values(), strict=True)]  # fmt: skip
            about = zip(some.paths, some.keys, some.labels, groups, strict=True)
            writer.append(
                [
                    Row(str(p), bytes.fromhex(key.decode()), str(label), str(group),
                        columns=tuple(columns[i]) if columns else ())
                    for i, (p, key, label, group) in enumerate(about)
                ],
                some.X,
            )  # fmt: skip
            writer.commit()
    return path


@pytest.fixture
def features() -> FeatureSet:
    return make_features()


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Return a bucket of a local S3 server."""
    server = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    about = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in about.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("bucket")
        yield "s3://bucket"
    s3fs.S3FileSystem.clear_instance_cache()
    running.stop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the progress log print every phase, even if it is short."""
    monkeypatch.setattr(progress, "FIRST_LINE", 0.0)
    monkeypatch.setattr(progress, "SHOWN_PHASE", 0.0)


@pytest.fixture
def phases_of(
    impatient: None, capfd: pytest.CaptureFixture[str]
) -> Callable[[Callable[..., Any]], list[str]]:
    """Call a function with ``progress=False``, then list its phases. It must print nothing."""

    def list_phases(function: Callable[..., Any]) -> list[str]:
        capfd.readouterr()
        function(progress=False)
        assert capfd.readouterr() == ("", "")
        seen: list[Phase] = []
        function(progress=seen.append)
        assert capfd.readouterr() == ("", "")
        return [name for name, _ in groupby(phase.name for phase in seen)]

    return list_phases
