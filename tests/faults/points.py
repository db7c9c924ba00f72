"""Script that injects every fault at every point of a small writing job, one fork each.

``LD_PRELOAD=inject.so python -m tests.faults.points inject.so FOLDER STEP`` runs under `inject.c`.
It prints, as JSON, the number of points of each fault and every violation. STEP 1 tries each point,
and STEP 3 every third.
"""

import ctypes
import errno
import gc
import json
import os
import shutil
import sys
from itertools import product
from pathlib import Path

import numpy as np

from clipfeat.errors import StorageError
from clipfeat.features import Failure
from clipfeat.store import FeatureWriter, Row, load, merging
from clipfeat.store.generations import newest_generation, shards_folder
from tests.conftest import make_spec

SPEC = make_spec(n_features=3)
FAULTS = {"ENOSPC": (errno.ENOSPC, 1), "EIO": (errno.EIO, 0), "kill": (-1, 0)}
WANTED = {f"{name}{i}": 10 * place + i for place, name in enumerate("abcd") for i in range(3)}


def rows_of(names: dict[str, int]) -> tuple[list[Row], np.ndarray]:
    rows = [Row(name, number.to_bytes(16), "x") for name, number in names.items()]
    return rows, np.array([[n, n + 0.5, -n] for n in names.values()], dtype=np.float32)


def job(path: Path, overwrite: bool, report: int) -> None:
    """Append the missing rows with three per commit, report each commit, and merge."""
    with FeatureWriter(path, SPEC, overwrite=overwrite) as writer:
        missing = {n: v for n, v in WANTED.items() if not writer.holds(v.to_bytes(16))}
        names = list(missing)
        for start in range(0, len(names), 3):
            chunk = {n: missing[n] for n in names[start : start + 3]}
            writer.append(*rows_of(chunk))
            writer.fail(Failure(f"bad{start}", "DecodeError", "bad"))
            writer.commit()
            os.write(report, (json.dumps(list(chunk)) + "\n").encode())
        writer.finish()


def start(path: Path) -> None:
    """Write the initial snapshot of three rows."""
    with FeatureWriter(path, SPEC) as writer:
        writer.append(*rows_of({n: v for n, v in WANTED.items() if n.startswith("a")}))
        writer.finish()


def attempt(
    lib: ctypes.CDLL, initial: Path, folder: Path, nth: int, fault: str, overwrite: bool
) -> tuple[bool, list[str]]:
    """Run the job with one fault on a copy of the folder `initial`.

    Return whether the fault was reached, and any violations.
    """
    path = folder / "out.h5"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(initial, folder)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        code = 0
        lib.inject_arm(str(folder).encode(), nth, *FAULTS[fault])
        try:
            job(path, overwrite, write)
        except StorageError as error:
            code = 4 if "rows are safe" in str(error) or "locking" in str(error) else 5
        except BaseException:
            code = 6
        os._exit(code if lib.inject_hit() or code else 100)
    os.close(write)
    with os.fdopen(read) as lines:
        reported_names = {name for line in lines for name in json.loads(line)}
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 100:
        return False, []
    broken = []
    if fault == "kill" and not os.WIFSIGNALED(status):
        broken.append(f"exit {status} where a kill was")
    if fault != "kill" and (not os.WIFEXITED(status) or os.WEXITSTATUS(status) not in (0, 4)):
        broken.append(f"ended with status {status}")
    if fault != "kill" and list(folder.rglob("*.tmp")):
        broken.append("a temporary file was left")
    safe = {} if overwrite else check(path, broken)
    if not overwrite and not reported_names <= set(safe):
        broken.append(f"lost {reported_names - set(safe)}")
    if overwrite and not (set(check(path, broken)) >= {"a0", "a1", "a2"}):
        broken.append("overwriting lost the old rows")
    done, null = os.pipe()
    job(path, overwrite, null)
    os.close(done)
    os.close(null)
    if check(path, broken).keys() != WANTED.keys():
        broken.append("the next run did not complete it")
    left = sorted(p.name for p in folder.iterdir())
    if left != (["out.h5.shards"] if is_sharded() else ["out.h5"]):
        broken.append(f"left over: {left}")
    shards = {p.name for p in shards_folder(path).glob("*") if p.suffix != ".json"}
    generation = newest_generation(path)
    if generation is not None and shards != {shard.name for shard in generation.shards}:
        broken.append(f"left over: {shards}")
    return True, [f"{fault} at {nth}{' overwriting' * overwrite}: {b}" for b in broken]


def is_sharded() -> bool:
    """Whether the job writes shards."""
    return merging.SHARDED_ABOVE == 0


def check(path: Path, broken: list[str]) -> dict[str, int]:
    """Read the file. Rows with the values of another image are violations."""
    features = load(path)
    rows = dict(zip(features.paths.tolist(), features.X.tolist(), strict=True))
    for name, row in rows.items():
        n = WANTED[name]
        if row != [n, n + 0.5, -n]:
            broken.append(f"{name} is wrong: {row}")
    if len(rows) != len(features):
        broken.append("a row is doubled")
    return {name: int(row[0]) for name, row in rows.items()}


def main() -> None:
    """Inject every fault at every point of the job."""
    gc.freeze()  # the garbage collector of a child then copies no memory of the parent
    lib = ctypes.CDLL(sys.argv[1])
    lib.inject_arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int]
    step = int(sys.argv[3])
    points: dict[str, int] = {}
    broken: list[str] = []
    kinds = product(FAULTS, (False, True), (2**30, 0))
    for number, (fault, overwrite, most) in enumerate(kinds):
        merging.SHARDED_ABOVE = most
        initial = Path(sys.argv[2]) / f"initial-{most}"
        if not initial.exists():
            initial.mkdir()
            start(initial / "out.h5")
        nth = 1 + number % step  # the kinds of faults try different points
        while True:
            reached, wrong = attempt(lib, initial, Path(sys.argv[2]) / "x", nth, fault, overwrite)
            if not reached:
                break
            broken += wrong
            nth += step
        kind = f"{fault}{', overwriting' * overwrite}{', shards' * is_sharded()}"
        points[kind] = nth - 1
    sys.stdout.write(json.dumps({"points": points, "broken": broken}))


if __name__ == "__main__":
    main()
