"""The child process that computes a map by UMAP for `clipfeat.browsing.projection`.

The parent starts it as ``python -m clipfeat.browsing.umap_process IN.npy OUT.npy``. When the parent
ends, the standard input of the child closes, and the child exits.
"""

import os
import sys
import warnings
from threading import Thread

import numpy as np

SEED = 0


def main(source: str, target: str) -> None:
    """Read features, and write two coordinates for each row."""
    Thread(target=_end_with_parent, daemon=True).start()
    import umap

    X = np.load(source, allow_pickle=False)
    n_neighbors = min(15, len(X) - 1)
    # The spectral initialisation needs more rows than components, so small sets start at random.
    init = "spectral" if len(X) > 50 else "random"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # UMAP warns that a fixed seed limits it to one thread
        points = umap.UMAP(n_neighbors=n_neighbors, init=init, random_state=SEED).fit_transform(X)
    np.save(target, np.asarray(points, dtype=np.float32))


def _end_with_parent() -> None:
    os.read(0, 1)  # not sys.stdin, whose lock would block the exit of this process
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
