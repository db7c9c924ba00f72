"""Runs of the command line and of functions in forked processes, which skip the imports.

``python -m tests.faults.forking`` is the server that forks the command line. Requests and answers
are lines of JSON. Functions are forked by the server of `multiprocessing`. The test process itself
is never forked: it has threads, and a child that waits for the thread pool of OpenMP would hang.
"""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

PRELOADED = [
    "__main__",
    "clipfeat.encoders.onnx",
    "clipfeat.encoders.timm",
    "onnx",
    "pandas",
    "tests.faults.test_model_fuzz",
    "tests.faults.test_mutants",
]

SERVER_PRELOADED = [
    "clipfeat.cli.console",
    "clipfeat.embedding.pipeline",
    "clipfeat.embedding.stream",
    "clipfeat.encoders.spectrum",
    "clipfeat.images.source_registry",
    "h5py",
    "numpy.char",
    "rich.table",
    "simplejpeg",
    "torch",
    "typer._adapters",
]


def exit_code(function: Callable[..., None], *arguments: object) -> int:
    """Call a function in a forked process, and return its exit code, or minus its signal."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=function, args=arguments)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


class ForkedRun:
    """A forked run, with the interface of `subprocess.Popen`."""

    def __init__(self, arguments: tuple[object, ...], cwd: Path) -> None:
        self._outputs = [cwd / name for name in (".stdout", ".stderr")]
        self.pid: int = _request("start", list(map(str, arguments)), str(cwd))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None while the run is alive."""
        if self.returncode is None:
            self.returncode = _request("poll", self.pid)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal if the run is alive."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Wait for the end, and return standard output and standard error."""
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                self.send_signal(signal.SIGKILL)
                raise TimeoutError(f"still running after {timeout} s")
            time.sleep(0.02)
        out, err = (path.read_text() for path in self._outputs)
        for path in self._outputs:
            path.unlink()
        return out, err


@cache
def _server() -> "subprocess.Popen[str]":
    """Start the server that forks. It exits when this process closes its pipe."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.forking"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _request(*request: object) -> Any:
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    print(json.dumps(request), file=server.stdin, flush=True)
    return json.loads(server.stdout.readline())


def _serve() -> None:
    for name in SERVER_PRELOADED:
        import_module(name)
    from clipfeat.store import writing

    writing.COMMIT_ROWS = 8
    for line in sys.stdin:
        action, *arguments = json.loads(line)
        answer = _start(*arguments) if action == "start" else _poll(*arguments)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _poll(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _start(arguments: list[str], cwd: str) -> int:
    if pid := os.fork():
        return pid
    os.setsid()
    # A shell lets its background jobs ignore SIGINT, and nohup SIGHUP.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.chdir(cwd)
    for descriptor, name in enumerate((os.devnull, ".stdout", ".stderr")):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT, 0o644), descriptor)
    sys.argv = ["clipfeat", *arguments]
    from clipfeat.cli import main

    code = 1
    try:
        main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1 if error.code else 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # skips the clean-up of the server, which this process inherited
    return 0


if __name__ == "__main__":
    _serve()
