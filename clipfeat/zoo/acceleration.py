"""Detection of a GPU, and a temporary random seed and thread count for torch."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import joblib


def pick_device(accelerate: bool) -> str:
    """Return ``"cuda"`` if a GPU is allowed and available, else ``"cpu"``."""
    if not accelerate or shutil.which("nvidia-smi") is None:  # importing torch takes seconds
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def acceleration(accelerate: bool) -> dict[str, str]:
    """Return the device of fits and the library of SVMs and forests, for run records."""
    intelex = accelerate and find_spec("sklearnex") is not None
    return {
        "device": pick_device(accelerate),
        "library": "scikit-learn-intelex" if intelex else "scikit-learn",
    }


@contextmanager
def seeded_torch(random_state: int | None, n_jobs: int) -> Iterator[None]:
    """Seed torch and set its number of threads within a ``with`` block, then restore both."""
    import torch

    threads = torch.get_num_threads()
    with torch.random.fork_rng():
        if random_state is not None:
            torch.manual_seed(random_state)
        torch.set_num_threads(joblib.effective_n_jobs(n_jobs))
        try:
            yield
        finally:
            torch.set_num_threads(threads)
