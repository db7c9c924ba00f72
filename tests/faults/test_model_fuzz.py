"""Tests that hostile model files end in one error or in probabilities, within 10 s and 1 GiB.

The bytes, the JSON or the arrays of files are changed. Changed JSON and arrays have valid
checksums. Each file is loaded and applied in its own process, with limits.
"""

import json
import os
import random
import resource
import signal
import sys
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from clipfeat.errors import RefusedFileError
from clipfeat.features import FeatureSet
from clipfeat.model import Model, load_model
from clipfeat.zoo.building import build
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.folds import fit_with_groups
from tests.conftest import make_features
from tests.faults.forking import exit_code

SECONDS, WALL_SECONDS, MEMORY = 10, 100, 2**30
"""Limits of processor time, of time on a machine that has other work, and of memory."""
CLASSIFIERS = {
    "rf": {"n_estimators": 5},
    "lgbm": {"n_estimators": 5},
    "xgb": {"n_estimators": 5},
    "svm": {},
    "knn": {},
    "mlp": {"epochs": 1},
    "lda": {},
    "logreg": {},
    "prototype": {},
}
VALUES: list[Any] = [
    None, True, 0, -1, 1, 2, 2**31, -(2**63), 10**30, 0.0, -0.5, 1e308, float("nan"), float("inf"),
    "", "x", "\x00", "a" * 1000, "\ud800", "\x1b[31m", "../../x", "os:system", "Pipeline",
    "SoftVotingClassifier", [], {}, [[]], {"kind": "Pipeline"}, ["a", "b"], ["[/x]", "b"],
]  # fmt: skip
EXTREMES = [0, 1, -1, 2, 2**31 - 1, -(2**31), 1e300, -1e300, 1e-300, np.nan, np.inf]


@pytest.fixture(scope="module")
def features() -> FeatureSet:
    return make_features(20, ("a", "b", "c"), apart=1.0)


@pytest.fixture(scope="module")
def files(features: FeatureSet, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("models")
    saved = []
    for name, params in CLASSIFIERS.items():
        estimator = build(name, FitOptions(calibrate="isotonic"), n_jobs=1, params=params)
        fit_with_groups(estimator, features.X, features.y, None)
        model = Model(estimator, features.classes, features.specs, (name,))
        saved.append(model.save(folder / f"{name}.clipfeat"))
    return saved


def pack(path: Path, description: bytes, arrays: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.json", description)
        archive.writestr("arrays.safetensors", arrays)


def changed_bytes(data: bytes, rng: random.Random, n: int) -> bytes:
    changed = bytearray(data)
    for _ in range(n):
        place, kind = rng.randrange(len(changed)), rng.random()
        if kind < 0.6:
            changed[place] = rng.choice([0, 255, 127, changed[place] ^ (1 << rng.randrange(8))])
        elif kind < 0.8:
            del changed[place : place + rng.randrange(1, 9)]
        else:
            changed[place:place] = rng.choice([b"\xff" * 4, bytes(8), changed[:16]])
    return bytes(changed)


def changed_json(value: Any, rng: random.Random, rate: float) -> Any:
    if rng.random() < rate:
        return rng.choice(VALUES)
    if isinstance(value, dict):
        return {
            name if rng.random() > rate / 4 else "other": changed_json(one, rng, rate)
            for name, one in value.items()
            if rng.random() > rate / 4
        }
    if isinstance(value, list):
        kept = [changed_json(one, rng, rate) for one in value if rng.random() > rate / 4]
        return kept * (3 if rng.random() < rate / 4 else 1)
    return value


def change_outside(path: Path, rng: random.Random) -> None:
    path.write_bytes(changed_bytes(path.read_bytes(), rng, rng.choice([1, 1, 2, 8])))


def change_json(path: Path, rng: random.Random) -> None:
    with zipfile.ZipFile(path) as archive:
        text, arrays = archive.read("model.json"), archive.read("arrays.safetensors")
    if rng.random() < 0.3:
        text = changed_bytes(text, rng, rng.choice([1, 3]))
    else:
        changed = changed_json(json.loads(text), rng, rng.choice([0.005, 0.02, 0.05]))
        text = json.dumps(changed).encode()
    pack(path, text, arrays)


def change_header(path: Path, rng: random.Random) -> None:
    with zipfile.ZipFile(path) as archive:
        text, arrays = archive.read("model.json"), archive.read("arrays.safetensors")
    size = 8 + int.from_bytes(arrays[:8], "little")
    pack(path, text, changed_bytes(arrays[:size], rng, rng.choice([1, 2])) + arrays[size:])


def change_arrays(path: Path, rng: random.Random) -> None:
    with zipfile.ZipFile(path) as archive:
        text, arrays = archive.read("model.json"), load(archive.read("arrays.safetensors"))
    for name in rng.sample(sorted(arrays), rng.choice([1, 1, 2, 5])):
        array = arrays[name].copy()
        kind = rng.random()
        if kind < 0.6 and array.size:
            flat = array.reshape(-1)
            for _ in range(rng.choice([1, 4, array.size])):
                value = rng.choice([*EXTREMES, flat[rng.randrange(len(flat))], len(flat)])
                with np.errstate(all="ignore"):
                    flat[rng.randrange(len(flat))] = np.array(value).astype(array.dtype)
        elif kind < 0.75:
            array = array[: len(array) // 2] if array.ndim else array.reshape(1)
        elif kind < 0.85:
            array = array.astype(rng.choice([np.float64, np.float32, np.int32, np.int64]))
        elif kind < 0.95:
            array = array.reshape(-1)
        else:
            array = np.zeros((0, *array.shape[1:]), array.dtype)
        arrays[name] = np.ascontiguousarray(array)
    pack(path, text, save(arrays))


CHANGES: dict[str, Callable[[Path, random.Random], None]] = {
    "outside": change_outside,
    "json": change_json,
    "header": change_header,
    "arrays": change_arrays,
}


def load_and_predict(path: Path, features: FeatureSet) -> None:
    """Load and apply a model within limits, and exit with a code."""
    log, code = path.with_suffix(".log"), 3
    try:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.alarm(WALL_SECONDS)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        model = load_model(path)
        p = model.predict_proba(features)
        fine = np.isfinite(p).all() and p.shape == (len(features), len(model.classes))
        code = 0 if fine else 4
    except RefusedFileError as error:
        code = 1 if path.name in str(error) and len(str(error)) < 1000 else 5
        log.write_text(str(error), errors="backslashreplace")
    except BaseException:
        log.write_text(traceback.format_exc())
    finally:
        os._exit(code)


def outcome(path: Path, features: FeatureSet) -> str:
    """Load and apply a model in a child process, and return how this ended."""
    code = exit_code(load_and_predict, path, features)
    if code < 0:
        return signal.Signals(-code).name
    names = {0: "probabilities", 1: "error", 3: "traceback", 4: "no probabilities", 5: "unclear"}
    if code in (0, 1, 4):
        return names[code]
    return f"{names[code]}: {path.with_suffix('.log').read_text()[-900:]}"


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a fork")
@pytest.mark.parametrize("change", CHANGES)
def test_hostile_model_files(
    change: str, files: list[Path], features: FeatureSet, tmp_path: Path, full: bool
) -> None:
    """A changed file is one error that names it, or predicts probabilities."""
    counts: Counter[str] = Counter()
    for number in range(250 if full else 15):
        rng = random.Random(f"{change} {number}")
        path = tmp_path / f"{number}.clipfeat"
        path.write_bytes(rng.choice(files).read_bytes())
        CHANGES[change](path, rng)
        result = outcome(path, features)
        counts[result] += 1
        assert result in ("probabilities", "error"), f"{change} {number}: {result}"
    assert counts["error"] > counts.total() // 4
    print(f"{change}: {counts['error']} errors, {counts['probabilities']} results")  # noqa: T201
