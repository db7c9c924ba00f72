"""Compare out-of-core fits with fits in memory.

``python benchmarks/out_of_core.py [--rows 400000] [--width 768] [--clf logreg,linsvm] [--limit 2]``

Random float16 features of two classes are written to a feature file in parts of 4,096 rows. Each
fit (without folds) runs in its own process, once in memory and once out of core. Peak memory is the
largest resident set minus that after the imports. Accuracies and differences of the probabilities
are computed on 10,000 fresh rows. With ``--limit``, each fit runs again with this many GiB of
address space beyond the imports, in which a fit in memory fails.
"""

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

GIB = 2**30
PART = 4096


def draw(rng: np.random.Generator, rows: int, width: int) -> tuple[Any, Any]:
    """Draw two classes whose means are two standard deviations apart."""
    y = rng.integers(0, 2, rows)
    X = (
        rng.normal(size=(rows, width))
        + 2 * y[:, None] * np.sin(np.arange(width)) / (width / 2) ** 0.5
    )
    return X.astype(np.float16), y


def write(path: Path, rows: int, width: int) -> None:
    """Write a feature file of unmerged parts."""
    from clipfeat.spec import EncoderSpec
    from clipfeat.store import FeatureWriter, Row

    spec = EncoderSpec(
        "bench", "", False, "last", "{}", (224, 224), "none", 1.0, "center", (0.0,), (1.0,),
        width, "bf16", "rgb8-1",
    )  # fmt: skip
    rng = np.random.default_rng(0)
    with FeatureWriter(path, spec) as writer:
        for start in range(0, rows, PART):
            numbers = range(start, min(start + PART, rows))
            X, y = draw(rng, len(numbers), width)
            about = [
                Row(f"{n:08d}.jpg", n.to_bytes(16), ("real", "fake")[code])
                for n, code in zip(numbers, y, strict=True)
            ]
            writer.append(about, X)
            writer.commit()


def one(name: str, path: Path, out_of_core: bool, limit: float, output: Path) -> None:
    """Fit in this process. Print the costs as JSON and save the probabilities."""
    import clipfeat
    from clipfeat.evaluate.fitting import fit
    from clipfeat.zoo.building import build

    build(name)  # imports its library
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
    if limit:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = int(pages * resource.getpagesize() + limit * GIB)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    passes: set[str] = set()
    begun = time.perf_counter()
    if out_of_core:
        with clipfeat.stream(path) as streamed:
            model = fit(streamed, name, cv=0, progress=lambda phase: passes.update(
                re.findall(r"pass \d+", phase.detail)))  # fmt: skip
    else:
        model = fit(clipfeat.load(path), name, cv=0)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
    X, y = draw(np.random.default_rng(1), 10_000, model.specs[0].n_features)
    p = model.estimator.predict_proba(X.astype(np.float32))
    np.save(output, p)
    right = float((p.argmax(axis=1) == y).mean())  # class indices follow the order real, fake
    print(json.dumps({"s": seconds, "gib": peak - before, "passes": len(passes), "right": right}))


def run(name: str, path: Path, out_of_core: bool, limit: float = 0) -> tuple[dict[str, Any], Any]:
    """Fit in a child process. Return its costs and probabilities, or its error."""
    output = path.with_suffix(f".{name}.{out_of_core}.npy")
    command = [sys.executable, __file__, "--one", name, str(path), str(int(out_of_core)),
               str(limit), str(output)]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        return {"error": done.stderr.strip().rpartition("\n")[2] or f"code {done.returncode}"}, None
    return json.loads(done.stdout.strip().rpartition("\n")[2]), np.load(output)


def main() -> None:
    """Fit every classifier in memory and out of core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--clf", default="logreg,linsvm,lgbm,xgb")
    parser.add_argument("--limit", type=float, default=0.0)
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        name, path, out_of_core, limit, output = given.one
        one(name, Path(path), out_of_core == "1", float(limit), Path(output))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.h5"
        write(path, given.rows, given.width)
        size = given.rows * given.width * 4 / GIB
        print(f"{platform.machine()}, {os.cpu_count()} cores, {given.rows:,} rows of {given.width} "
              f"float16, {size:.2f} GiB as float32, "
              f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
        print("| `--clf` | in memory | out of core | memory | time | passes | accuracy | "
              "largest difference | mean |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|",
              flush=True)  # fmt: skip
        for name in given.clf.split(","):
            (held, p), (read, q) = run(name, path, False), run(name, path, True)
            if "error" in held or "error" in read:
                print(f"| `{name}` | {held} | {read} |", flush=True)
                continue
            cells = [f"{one['s']:.0f} s, {one['gib']:.2f} GiB" for one in (held, read)]
            print(f"| `{name}` | {' | '.join(cells)} | {read['gib'] / held['gib']:.2f} | "
                  f"{read['s'] / held['s']:.1f} | {read['passes']} | {held['right']:.4f}, "
                  f"{read['right']:.4f} | {np.abs(p - q).max():.0e} | {np.abs(p - q).mean():.0e} |",
                  flush=True)  # fmt: skip
        if not given.limit:
            return
        print(f"with {given.limit:g} GiB of address space beyond the imports:")
        for name in given.clf.split(","):
            for out_of_core in (False, True):
                costs, _ = run(name, path, out_of_core, given.limit)
                outcome = costs.get("error") or f"done in {costs['s']:.0f} s"
                print(f"{name}, {'out of core' if out_of_core else 'in memory'}: {outcome}",
                      flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
