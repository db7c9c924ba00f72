"""Cost of the feature file's safety, compared with a bare append-only h5py loop.

``python benchmarks/store.py [--rows 20000] [--width 768] [--repeats 3]``

Both writers write the same float16 rows in batches of 256. One is `FeatureWriter` (parts, fsync,
checksums, a verified merge). The other resizes a chunked dataset and closes the file at the end.
The runs are interleaved. The table gives medians, and the share of the time of an embedding run at
2,000 images/s.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from clipfeat.spec import EncoderSpec
from clipfeat.store import FeatureWriter, Row

BATCH = 256
RUN_RATE = 2000.0


def by_clipfeat(path: Path, features: np.ndarray) -> None:
    """Write the rows with `FeatureWriter`, including the merge."""
    spec = EncoderSpec(
        "bench", "", False, "last", "{}", (224, 224), "none", 1.0, "center", (0.0,), (1.0,),
        features.shape[1], "bf16", "rgb8-1",
    )  # fmt: skip
    with FeatureWriter(path, spec) as writer:
        for start in range(0, len(features), BATCH):
            chunk = features[start : start + BATCH]
            numbers = range(start, start + len(chunk))
            rows = [Row(f"images/{n:08d}.jpg", n.to_bytes(16), "real") for n in numbers]
            writer.append(rows, chunk)
        writer.finish()


def by_bare_h5py(path: Path, features: np.ndarray) -> None:
    """Write the rows like a script without clipfeat. If it is killed, all rows may be lost."""
    width = features.shape[1]
    text = h5py.string_dtype()
    with h5py.File(path, "w") as h5:
        rows = h5.create_dataset("features", (0, width), "f2", maxshape=(None, width), chunks=True)
        paths = h5.create_dataset("paths", (0,), text, maxshape=(None,), chunks=True)
        for start in range(0, len(features), BATCH):
            chunk = features[start : start + BATCH]
            rows.resize(start + len(chunk), axis=0)
            paths.resize(start + len(chunk), axis=0)
            rows[start:] = chunk
            paths[start:] = [f"images/{n:08d}.jpg" for n in range(start, start + len(chunk))]


def main() -> None:
    """Time both, interleaved, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    features = rng.normal(size=(given.rows, given.width)).astype(np.float16)
    seconds: dict[str, list[float]] = {"clipfeat": [], "bare h5py": []}
    for _ in range(given.repeats):
        for name, write in (("clipfeat", by_clipfeat), ("bare h5py", by_bare_h5py)):
            with tempfile.TemporaryDirectory() as folder:
                begun = time.perf_counter()
                write(Path(folder) / "out.h5", features)
                seconds[name].append(time.perf_counter() - begun)
    print(f"{platform.machine()}, {os.cpu_count()} cores, h5py {h5py.__version__}, "
          f"{given.rows} rows of {given.width} float16, {given.repeats} repeats")  # fmt: skip
    print("| writer | rows/s (median) | of a run at 2,000 images/s |\n|---|--:|--:|")
    for name, times in seconds.items():
        median = statistics.median(times)
        share = median / (given.rows / RUN_RATE)
        print(f"| {name} | {given.rows / median:,.0f} | {share:.1%} |")
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)]
    print(f"clipfeat takes {statistics.median(ratios):.1f}× the time of bare h5py")


if __name__ == "__main__":
    main()
