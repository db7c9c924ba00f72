"""Where weights come from: a local file, the hub, or chance; and what is said when none of these.

Loading is upstream's own. What is added: a file of the wrong architecture is refused rather than
loaded in part, and a missing hub ends in one sentence that names the file wanted.
"""

import logging
import socket
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from torch.overrides import TorchFunctionMode
from torch.utils.serialization import config as serialization

from clipfeat.errors import ClipfeatError, UsageError, WeightsError

UNTRAINED_SEED = 0
CONNECT_SECONDS = 5.0


def check_choice(weights: str | Path | None, untrained: bool) -> None:
    """Refuse weights that are both given and random, or that are no file.

    Raises
    ------
    UsageError
        If both are asked for.
    WeightsError
        If there is no such file.
    """
    if weights is not None and untrained:
        raise UsageError("--weights and --untrained exclude each other: leave one out")
    if weights is not None and not Path(weights).is_file():
        raise WeightsError(f"no such file of weights: {weights}")


@contextmanager
def random_weights() -> Iterator[None]:
    """Draw the same random weights every time, leaving the caller's random state alone."""
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(UNTRAINED_SEED)
        yield


class _Unfilled(TorchFunctionMode):
    """Leaves out the random values with which layers are made."""

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        words = dict(kwargs or {})
        if func in (torch.Tensor.normal_, torch.Tensor.uniform_):
            return args[0]
        if getattr(func, "__module__", "") == "torch.nn.init" and "tensor" in words:
            return words["tensor"]
        return func(*args, **words)


@contextmanager
def quick_loading(weights: str | Path | None = None) -> Iterator[None]:
    """Spare a model whose weights are about to be loaded, every one, what takes seconds.

    Its layers are not filled with random values first, and a zipped ``.pt`` is mapped into memory
    rather than read into more of it.
    """
    mapped = weights is not None and zipfile.is_zipfile(weights)
    with _Unfilled(), serialization.patch("load.mmap", mapped):  # type: ignore[attr-defined]
        yield


@contextmanager
def explain_missing(name: str, wanted: str) -> Iterator[None]:
    """Turn whatever a failed download raises into one sentence.

    Parameters
    ----------
    name : str
        The encoder, as the user would name it.
    wanted : str
        The file that would have been downloaded.

    Raises
    ------
    WeightsError
        In place of any other error.
    """
    try:
        with quiet(), _cache_only_without_hub(), quick_loading():
            yield
    except ClipfeatError:
        raise
    except Exception as error:
        reason = shorten(str(error), 160, placeholder=" …") or type(error).__name__
        raise WeightsError(
            f"no weights for {name}: neither in the local cache nor from the hub ({reason}). "
            f"Wanted: {wanted}. Copy that file here and give it as --weights FILE, or set HF_HOME "
            "to a cache that holds it, or try --encoder spectrum, which needs none"
        ) from error


@contextmanager
def explain_misfit(name: str, weights: str | Path) -> Iterator[None]:
    """Load quickly, and turn a state dict that does not fit into one sentence.

    Raises
    ------
    WeightsError
        In place of any other error.
    """
    try:
        with quick_loading(weights):
            yield
    except ClipfeatError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = " ".join(lines)[:300] or type(error).__name__
        raise WeightsError(f"{weights} does not hold weights of {name}: {reason}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep libraries from logging what is about to be said in one sentence."""
    names = (None, "huggingface_hub", "timm", "httpx")
    before = [(logging.getLogger(name), logging.getLogger(name).level) for name in names]
    try:
        for logger, _ in before:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in before:
            logger.setLevel(level)


@contextmanager
def _cache_only_without_hub() -> Iterator[None]:
    """Look into the hub's local cache alone where the hub cannot be reached.

    Its library would try again for the better part of a minute before it says so.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    try:
        constants.HF_HUB_OFFLINE = before or not _reachable(constants.ENDPOINT)
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _reachable(endpoint: str) -> bool:
    """Whether a server answers there; taken for granted behind a proxy."""
    if getproxies():
        return True
    url = urlsplit(endpoint)
    try:
        with socket.create_connection((url.hostname, url.port or 443), timeout=CONNECT_SECONDS):
            return True
    except OSError:
        return False
