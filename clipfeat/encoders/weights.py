"""Loading of weights: from a local file, from a hub, or random.

The encoder library loads the weights. This module makes sure that a file of another architecture is
refused, and not loaded in part. It also makes sure that every failed download raises the same kind
of error, which names the missing file.
"""

import logging
import socket
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from threading import get_ident
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from torch.overrides import TorchFunctionMode
from torch.utils.serialization import config as serialization

from clipfeat.encoders.weight_files import check_weight_file
from clipfeat.errors import ClipfeatError, UsageError, WeightsError

UNTRAINED_SEED = 0
CONNECT_SECONDS = 5.0


def check_choice(weights: str | Path | None, untrained: bool) -> None:
    """Check the options for weights.

    Raises
    ------
    UsageError
        If both a file and random weights are requested.
    WeightsError
        If the file does not exist.
    """
    if weights is not None and untrained:
        raise UsageError("--weights and --untrained exclude each other. Leave one out.")
    if weights is not None and not Path(weights).is_file():
        raise WeightsError(f"no such file of weights: {weights}. Check the path in --weights.")


@contextmanager
def random_weights() -> Iterator[None]:
    """Seed random weights. The random state of the caller does not change."""
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(UNTRAINED_SEED)
        yield


class _SkipInitialisation(TorchFunctionMode):
    """Mode in which layers are created without random initial values."""

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        keywords = dict(kwargs or {})
        if func in (torch.Tensor.normal_, torch.Tensor.uniform_):
            return args[0]
        if getattr(func, "__module__", "") == "torch.nn.init" and "tensor" in keywords:
            return keywords["tensor"]
        return func(*args, **keywords)


@contextmanager
def quick_loading(weights: str | Path | None = None) -> Iterator[None]:
    """Save some seconds when a model is created and all of its weights are loaded.

    Layers are created without random initial values. A zipped ``.pt`` file is mapped into memory
    and not copied.
    """
    mapped = weights is not None and zipfile.is_zipfile(weights)
    with _SkipInitialisation(), serialization.patch("load.mmap", mapped):  # type: ignore[attr-defined]
        yield


@contextmanager
def explain_missing(name: str, wanted: str) -> Iterator[None]:
    """Convert every error of a failed download to a WeightsError.

    Parameters
    ----------
    name : str
        The full name of the encoder.
    wanted : str
        Description of the file to download.

    Raises
    ------
    WeightsError
        If the block raises an exception that is not a `ClipfeatError`.
    """
    try:
        with quiet(), _cache_only_without_hub(), quick_loading():
            yield
    except ClipfeatError:
        raise
    except Exception as error:
        reason = shorten(str(error), 160, placeholder=" …") or type(error).__name__
        raise WeightsError(
            f"the weights of {name} are not in the local cache and cannot be downloaded "
            f"({reason}). The missing file is {wanted}. Copy it to this machine and pass it with "
            "--weights FILE, or set HF_HOME to a cache that contains it. For an encoder "
            "without a download, pass --encoder efficientnet-lite0 "
            '(in Python: encoder="efficientnet-lite0").'
        ) from error


@contextmanager
def explain_misfit(name: str, weights: str | Path) -> Iterator[None]:
    """Check a file of weights, and convert errors of the block that loads it to a WeightsError.

    Raises
    ------
    WeightsError
        If the check fails, or if the block raises an exception that is not a `ClipfeatError`.
    """
    try:
        check_weight_file(weights)
        with quick_loading(weights):
            yield
    except ClipfeatError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = " ".join(lines)[:300] or type(error).__name__
        raise WeightsError(
            f"{weights} does not contain weights of {name}: {reason}. Pass a file of this "
            "architecture's weights with --weights."
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Drop the log records of this thread, because clipfeat raises the libraries' errors itself.

    The levels of loggers belong to the whole process. They are not changed, so other threads log as
    usual, and blocks of several threads may overlap.
    """
    thread = get_ident()

    def keep(record: logging.LogRecord) -> bool:
        return record.thread != thread or record.levelno >= logging.CRITICAL

    filtered = _loggers_and_handlers()
    for one in filtered:
        one.addFilter(keep)
    try:
        yield
    finally:
        for one in filtered:
            one.removeFilter(keep)


def _loggers_and_handlers() -> set[logging.Filterer]:
    """Return all loggers and their handlers.

    A logger alone does not filter the records of its children. A handler alone is not enough, since
    `logging.warning` adds one if there is none.
    """
    root = logging.getLogger()
    filtered: set[logging.Filterer] = {logging.lastResort} if logging.lastResort else set()
    for logger in [root, *root.manager.loggerDict.values()]:
        if isinstance(logger, logging.Logger):  # not the placeholder of a missing parent
            filtered |= {logger, *logger.handlers}
    return filtered


@contextmanager
def _cache_only_without_hub() -> Iterator[None]:
    """Use only the hub's local cache if the hub cannot be reached.

    Otherwise huggingface_hub would retry for nearly a minute before it raises an error.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    try:
        constants.HF_HUB_OFFLINE = before or not _reachable(constants.ENDPOINT)
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _reachable(endpoint: str) -> bool:
    """Return whether a server answers at an endpoint. Behind a proxy, always return True."""
    if getproxies():
        return True
    url = urlsplit(endpoint)
    try:
        with socket.create_connection((url.hostname, url.port or 443), timeout=CONNECT_SECONDS):
            return True
    except OSError:
        return False
