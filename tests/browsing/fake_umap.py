"""Script that replaces the UMAP process, which takes long to start."""

import sys

import numpy as np

if __name__ == "__main__":
    X = np.load(sys.argv[1])
    if len(X) == 13:
        sys.exit("thirteen rows")
    np.save(sys.argv[2], X[:, :2])
