"""Connecting to Ray without its log output, and converting its errors."""

import logging
import os
import secrets
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from clipfeat.errors import ClipfeatError, UsageError, missing_extra

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Ray warns that this will become the default
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
}

ANSWER_SECONDS = 15.0
"""Time limit for a cluster to accept a connection."""


@contextmanager
def connected(address: str | None, least_cpus: int = 1) -> Iterator[None]:
    """Connect to Ray for the duration of the block.

    If this process is already connected to Ray, that connection is used, and is not closed.

    Parameters
    ----------
    address : str, optional
        Address of a running cluster, as for `ray.init`. If it is None, the environment variable
        ``RAY_ADDRESS`` is used. If the variable is not set either, a local cluster is started. It
        accepts only connections with its random token, and stops at the end of the block.
    least_cpus : int
        Minimum number of CPU cores that a local cluster reports, even if the machine has fewer.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    UsageError
        If no cluster answers at the address.
    ClipfeatError
        If Ray does not start on this machine.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        # Ray warns about its own deprecated settings.
        warnings.simplefilter("ignore")
        try:
            import ray
        except ImportError as error:
            raise missing_extra("the engine ray", "Ray", "ray") from error
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    with _restored_level(), _random_token() if address == "local" else nullcontext():
        with _own_signals(), _without_stderr():
            _connect(address, least_cpus)
        try:
            with _without_reports():
                yield
        finally:
            ray.shutdown()


@contextmanager
def _restored_level() -> Iterator[None]:
    """Restore the level of Ray's logger. `ray.init` sets it for the whole process."""
    logger = logging.getLogger("ray")
    level = logger.level
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _random_token() -> Iterator[None]:
    """Require a random token for every connection to a cluster that starts in the block.

    Ray's processes listen on all interfaces of the machine, even if ``_node_ip_address`` is
    127.0.0.1. Anyone who can connect to them can run code. Ray stores its own token in a file in
    the home folder that all users can read. The token is therefore passed in the environment, which
    only the user of a process can read. If the user has set a mode or a token, nothing is changed.
    """
    names = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    if any(name in os.environ for name in names):
        yield
        return

    from ray import _raylet

    internals: Any = _raylet  # compiled, without types

    def reload() -> None:
        internals.Config.initialize("")
        internals.AuthenticationTokenLoader.instance().reset_cache()

    try:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        reload()
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        reload()


def _connect(address: str, least_cpus: int) -> None:
    import joblib
    import ray

    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL, "ignore_reinit_error": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if address == "local":
                n_cpus = max(least_cpus, joblib.cpu_count())
                ray.init("local", num_cpus=n_cpus, include_dashboard=False, **quiet)
            else:
                _check_listening(address)
                ray.init(address, **quiet)
        except Exception as error:
            # Ray raises a plain Exception if a node is too slow to start.
            ray.shutdown()
            if address == "local":
                raise ClipfeatError(
                    f"Ray does not start on this machine: {first_line(error)}. Use --engine local."
                ) from error
            raise UsageError(
                f"no Ray cluster answers at {address}: {first_line(error)}. Check --address."
            ) from error


def _check_listening(address: str) -> None:
    """Raise OSError if no server listens at the address.

    Without this check, Ray retried for more than nine minutes.
    """
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "://" not in host:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Restore the signal handlers that Ray replaces. Only the main thread may set handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Discard the lines that Ray's C++ library prints while it starts."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def _without_reports() -> Iterator[None]:
    """Discard Ray's reports about nodes. Ray prints pages of logs when a node leaves the cluster.

    No setting turns these reports off: `log_to_driver` concerns workers only.
    """
    from ray._private import worker

    kept = getattr(worker, "print_to_stdstream", None)
    try:
        worker.print_to_stdstream = lambda *_, **__: None
        yield
    finally:
        worker.print_to_stdstream = kept


@contextmanager
def ray_errors(hint: str) -> Iterator[None]:
    """Convert Ray's errors into `ClipfeatError`.

    Parameters
    ----------
    hint : str
        The end of the message. It names the work that is safe, and how to continue.

    Raises
    ------
    ClipfeatError
        If the block raises an error of Ray.
    """
    from ray.exceptions import RayError

    try:
        yield
    except ClipfeatError:
        raise
    except Exception as error:
        # Ray Data wraps the original error in several layers.
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, RayError):
            cause = cause.__cause__ or cause.__context__
        fault = first_line(cause or error).removesuffix(".")
        raise ClipfeatError(f"Ray failed: {fault}. {hint[:1].upper()}{hint[1:]}") from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message. Ray appends pages of logs to its messages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
