"""A connection to Ray, quiet; the words it gives up with."""

import logging
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from clipfeat.errors import ClipfeatError, UsageError, missing_extra

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # its default warns that it will be this
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
}

ANSWER_SECONDS = 15.0
"""In which a cluster must take a connection."""


@contextmanager
def connected(address: str | None, least_cpus: int = 1) -> Iterator[None]:
    """Connect to Ray for the time of the block.

    Parameters
    ----------
    address : str, optional
        Of a running cluster, as `ray.init` takes it. None is that of the environment's
        ``RAY_ADDRESS``, else a Ray on this machine alone, ended with the block. A connection that
        this process already has is used, and left.
    least_cpus : int
        Processors that a Ray on this machine alone counts, where the machine has fewer.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    UsageError
        If no cluster answers there.
    ClipfeatError
        If Ray does not start on this machine.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        # Ray warns of its own old settings.
        warnings.simplefilter("ignore")
        try:
            import ray
        except ImportError as error:
            raise missing_extra("the engine ray", "Ray", "ray") from error
    if ray.is_initialized():
        yield
        return
    with _own_signals(), _without_stderr():
        _connect(address or os.environ.get("RAY_ADDRESS"), least_cpus)
    try:
        with _without_reports():
            yield
    finally:
        ray.shutdown()


def _connect(address: str | None, least_cpus: int) -> None:
    import joblib
    import ray

    how = {"log_to_driver": False, "logging_level": logging.CRITICAL, "ignore_reinit_error": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if address is None or address == "local":
                n_cpus = max(least_cpus, joblib.cpu_count())
                ray.init("local", num_cpus=n_cpus, include_dashboard=False, **how)
            else:
                _knock(address)
                ray.init(address, **how)
        except Exception as error:
            # Of whatever class: a node that is too slow to start is a bare Exception.
            ray.shutdown()
            if address is None or address == "local":
                raise ClipfeatError(f"Ray does not start here: {first_line(error)}") from error
            raise UsageError(f"no Ray answers at {address}: {first_line(error)}") from error


def _knock(address: str) -> None:
    """Raise OSError where nobody listens: Ray itself was seen to try for more than nine minutes."""
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "://" not in host:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the handlers of signals, which Ray replaces; only the main thread may set them."""
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
    """Drop what Ray's own library, not Python, prints while it starts: what its log level is."""
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
    """Keep off standard output what Ray reports of nodes: pages of log for one that has left.

    No setting does: `log_to_driver` is of workers alone.
    """
    from ray._private import worker

    kept = getattr(worker, "print_to_stdstream", None)
    try:
        worker.print_to_stdstream = lambda *_, **__: None
        yield
    finally:
        worker.print_to_stdstream = kept


@contextmanager
def rays_errors(safe: str) -> Iterator[None]:
    """Turn what Ray raises, when it gives up, into one error.

    Parameters
    ----------
    safe : str
        What of the work is not lost, and how to go on.

    Raises
    ------
    ClipfeatError
        Saying what Ray said, and how to go on.
    """
    from ray.exceptions import RayError

    try:
        yield
    except ClipfeatError:
        raise
    except Exception as error:
        # Ray Data parts its own errors into classes only by what it prints of them.
        found: BaseException | None = error
        while found is not None and not isinstance(found, RayError):
            found = found.__cause__ or found.__context__
        raise ClipfeatError(f"Ray gave up: {first_line(found or error)}; {safe}") from error


def first_line(error: BaseException) -> str:
    """What an error says, without the pages that Ray adds."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
