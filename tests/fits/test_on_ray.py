"""Tests that runs on Ray equal local runs, even after failures and interruptions."""

import math
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray")
import ray

from clipfeat.errors import ClipfeatError, DataError, MissingExtraError, UsageError
from clipfeat.evaluate import LeaveOneOut, benchmark
from clipfeat.evaluate.fitting import fit
from clipfeat.evaluate.result import Benchmark
from clipfeat.features import FeatureSet, join
from clipfeat.fits.cells import Cell, CellSpec
from clipfeat.fits.fit_resources import FitResources
from clipfeat.fits.on_ray import Executor, ray_executor
from clipfeat.fits.running import run_cells
from clipfeat.model import Model
from clipfeat.system.ray_connection import connected, ray_errors
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import make_features
from tests.fits.ray_tasks import describe, die_fail_or_return

COSTS = {"fit_seconds", "predict_seconds"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Start one local Ray cluster for all tests."""
    with connected(None, least_cpus=2):
        yield


@pytest.fixture
def executor(cluster: None) -> Iterator[Executor]:
    with ray_executor(FitResources(engine="ray"), "") as executor:
        assert executor is not None
        yield executor


def both(data: FeatureSet, clf: str, **settings: Any) -> list[Benchmark]:
    """Run with both engines and compare everything except seconds."""
    plain, on_ray = (
        benchmark(data, clf, resources=FitResources(engine=e), **settings) for e in ("local", "ray")
    )
    for one, other in zip(plain.outcomes, on_ray.outcomes, strict=True):
        assert list(one.probabilities) == list(other.probabilities)
        for entry, p in one.probabilities.items():
            assert p.tobytes() == other.probabilities[entry].tobytes(), entry
        assert one.thresholds == other.thresholds
    for row, its in zip(plain.rows, on_ray.rows, strict=True):
        either = [{k: v for k, v in r.items() if k not in ("seconds", "value")} for r in (row, its)]
        assert either[0] == either[1]
        if row["metric"] not in COSTS:
            assert row["value"] == its["value"] or math.isnan(row["value"]), row
    assert list(plain.errors.items()) == list(on_ray.errors.items())
    differing = dict.fromkeys(("seconds", "options", "command"))
    assert {**plain.about, **differing} == {**on_ray.about, **differing}
    return [plain, on_ray]


def test_the_same_run(cluster: None) -> None:
    """Both engines give equal probabilities, rows, votes and thresholds."""
    data = make_features(40, apart=1.0, groups=True)
    data = replace(data, columns={"generator": np.array([f"g{i % 3}" for i in range(80)])})
    two = join([data, make_features(40, name="other", seed=5, apart=0.5)])
    options = FitOptions(threshold="accuracy")
    both(two, "logreg,knn,prototype", protocol=3, vote="all", options=options)
    both(data, "logreg,knn,prototype", protocol=LeaveOneOut("generator"))


def test_a_cluster_that_clipfeat_starts_refuses_strangers(cluster: None) -> None:
    """Ray listens on every interface, so a connection needs the token of this process."""
    code = (
        "from ray._raylet import GcsClient; "
        f"GcsClient(address={ray.get_runtime_context().gcs_address!r}).internal_kv_keys(b'', None)"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    guess = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    for mode in ({"RAY_AUTH_MODE": "disabled"}, guess):
        stranger = subprocess.run(
            [sys.executable, "-c", code],
            env=clean | mode,
            capture_output=True,
            text=True,
            check=False,
        )
        assert stranger.returncode != 0
        assert "InvalidAuthToken" in stranger.stderr


def test_a_failure_affects_one_entry(cluster: None) -> None:
    """As in a local run, the error of an entry is that of its first failed fold."""
    few = make_features(20).take(np.arange(22))
    plain, _ = both(few, "logreg,svm,dummy", protocol=2)
    assert list(plain.errors) == ["svm"]


def test_finished_cells_are_cached(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Ctrl-C, only the remaining cells are fitted. The engines share the cache."""
    data, steps = make_features(30, apart=1.0), []

    def stop_at(number: int) -> Any:
        def progress(step: Any) -> None:
            steps.append(step.done)
            if step.done == number:
                assert len(list(tmp_path.glob("*.npz"))) >= number
                raise KeyboardInterrupt

        return progress

    sent: list[int] = []
    put = ray.put
    monkeypatch.setattr(ray, "put", lambda value: (sent.append(1), put(value))[1])
    settings: dict[str, Any] = {"protocol": 3, "cache": tmp_path}
    for engine, number in (("local", 2), ("ray", 4)):
        with pytest.raises(KeyboardInterrupt):
            benchmark(
                data, "logreg,knn", resources=FitResources(engine=engine),
                progress=stop_at(number), **settings,
            )  # fmt: skip
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert 4 <= len(kept) < 6
    on_ray = benchmark(data, "logreg,knn", resources=FitResources(engine="ray"), **settings)
    sent.clear()
    for engine in ("local", "ray"):
        again = benchmark(data, "logreg,knn", resources=FitResources(engine=engine), **settings)
        for entry, p in again.probabilities.items():
            assert p.tobytes() == on_ray.probabilities[entry].tobytes()
    assert not sent
    assert all(path.stat().st_mtime_ns == then for path, then in kept.items())
    assert len(list(tmp_path.iterdir())) == 6


def test_pieces_of_work_stay_small() -> None:
    """The size of a task's arguments does not depend on the number of rows."""

    def sizes(n: int) -> list[int]:
        sizes_: list[int] = []

        def execute(function: Any, shared: Any, pieces: Sequence[Any]) -> Iterator[Any]:
            sizes_.extend(len(pickle.dumps((function, piece))) for piece in pieces)
            assert len(pickle.dumps(shared)) > n * 6 * 4
            for at, piece in enumerate(pieces):
                yield at, function(*shared, *piece)

        data = make_features(n, apart=1.0)
        splits = [(np.arange(n), np.arange(n, 2 * n)), (np.arange(n, 2 * n), np.arange(n))]
        specs = [
            CellSpec(0, f"fold {at}", "dummy", "dummy", slice(None), split, 0, 1, False)
            for at, split in enumerate(splits)
        ]
        rows = (data.X, data.y, None)
        cells = dict(run_cells(specs, rows, 2, FitOptions(), FitResources(), executor=execute))
        assert all(isinstance(cell, Cell) and len(cell.test) == n for cell in cells.values())
        return sizes_

    assert max(sizes(50)) < 2000
    assert sizes(50) == sizes(5000)


def test_features_are_shared_and_threads_limited(cluster: None) -> None:
    """Workers map the rows without copying, and have no more threads than processors."""
    X = np.ones((1000, 100), dtype=np.float32)
    cpus = int(ray.cluster_resources()["CPU"])
    for n_jobs in (None, cpus):
        with ray_executor(FitResources(n_jobs, engine="ray"), "") as executor:
            assert executor is not None
            results = [result for _, result in executor(describe, (X, X), [(0.2,)] * 3)]
        for writeable, owns, total, threads, _, _ in results:
            assert (writeable, owns, total) == (False, False, X.sum())
            assert set(threads) <= {1, n_jobs}
        times = sorted((begun, ended) for *_, begun, ended in results)
        if n_jobs == cpus:
            assert all(a[1] <= b[0] for a, b in pairwise(times))


def test_a_worker_that_dies_costs_its_own_piece(executor: Executor) -> None:
    """If a worker dies, its task is retried, then is an error. Exceptions are not retried."""
    results = dict(executor(die_fail_or_return, (), [(0,), (1,), (2,), (3,)]))
    assert isinstance(results[0], DataError)
    assert "ended unexpectedly, also when the fit was repeated" in str(results[0])
    assert isinstance(results[1], ZeroDivisionError)
    assert (results[2], results[3]) == (2, 3)


def test_fit_is_the_same(cluster: None) -> None:
    """Members, searches, thresholds and scores are equal, for a single classifier and a stack."""
    data = make_features(40, apart=1.0, groups=True)
    for clf, vote, options in (
        ("prototype,logreg", "stacking", FitOptions(threshold="accuracy")),
        ("lda", "uniform", FitOptions(tune=True)),
    ):
        plain, on_ray = (
            fit(data, clf, cv=3, options=options, vote=vote, resources=FitResources(engine=engine))
            for engine in ("local", "ray")
        )
        assert plain.predict_proba(data).tobytes() == on_ray.predict_proba(data).tobytes()
        assert (plain.members, plain.threshold) == (on_ray.members, on_ray.threshold)
        assert plain.about.get("weights") == on_ray.about.get("weights")
        assert plain.about["tuned"] == on_ray.about["tuned"]
        values = [
            [row["value"] for row in model.scores if row["metric"] not in COSTS]
            for model in (plain, on_ray)
        ]
        assert np.array_equal(*values, equal_nan=True)
    with pytest.raises(DataError, match="cannot fit svm on 21 images"):
        fit(
            make_features(20).take(np.arange(21)), "svm", cv=0, resources=FitResources(engine="ray")
        )


def run_benchmark(data: FeatureSet, clf: str, resources: dict[str, Any]) -> Benchmark:
    return benchmark(data, clf, resources=FitResources(**resources))


def run_fit(data: FeatureSet, clf: str, resources: dict[str, Any]) -> Model:
    return fit(data, clf, resources=FitResources(**resources))


@pytest.mark.parametrize("run", [run_benchmark, run_fit])
@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"engine": "rya"}, "unknown engine 'rya'; did you mean ray"),
        ({"address": "auto"}, "--engine ray"),
        ({"engine": "ray", "time_limit": 5.0}, "cannot be used with the engine 'ray'"),
        ({"engine": "ray", "n_jobs": -1}, "n_jobs must be 1 or more, got -1"),
        ({"engine": "ray", "n_jobs": 1000}, "1000 processors .-j., but no machine"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_inconsistent_resources_are_refused(
    cluster: None, run: Any, resources: dict[str, Any], message: str
) -> None:
    """Inconsistent options are an error before any fit, with a remedy."""
    with pytest.raises(UsageError, match=message):
        run(make_features(), "logreg", resources)


@pytest.mark.parametrize("run", [run_benchmark, run_fit])
def test_a_missing_extra_is_named(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Ray, the error names the extra to install."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'clipfeat\[ray\]'"):
        run(make_features(), "logreg", {"engine": "ray"})


def test_a_missing_cluster_is_reported_immediately(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection is not retried until the timeout."""
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with (
        pytest.raises(UsageError, match=r"no Ray cluster answers at 127\.0\.0\.1:9: .*refused"),
        connected("127.0.0.1:9"),
    ):
        pass


def test_an_error_of_ray_says_how_to_resume() -> None:
    """Errors of Ray become one `ClipfeatError`. Errors of clipfeat are not changed."""
    from ray.exceptions import RaySystemError

    with (
        pytest.raises(ClipfeatError, match=r"Ray failed: .*lost the head.*\. Resume with -o"),
        ray_errors("resume with -o"),
    ):
        raise RaySystemError("lost the head\nand pages more")
    with pytest.raises(DataError, match="mine"), ray_errors(""):
        raise DataError("mine")
