"""Running the command line in processes forked from one that has imported everything.

``python -m tests.faults.forking`` is the forking process. Requests and responses are lines of JSON.
"""

import json
import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any


class ForkedRun:
    """A forked run with the interface of `subprocess.Popen`."""

    def __init__(self, words: tuple[object, ...], cwd: Path) -> None:
        self._told = [cwd / name for name in (".stdout", ".stderr")]
        self.pid: int = _ask(["start", [str(word) for word in words], str(cwd)])
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code or None; a signal's is negative."""
        if self.returncode is None:
            self.returncode = _ask(["poll", self.pid])
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal if the run has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Wait for the end and return the output."""
        until = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > until:
                self.send_signal(signal.SIGKILL)
                raise TimeoutError(f"still running after {timeout} s")
            time.sleep(0.005)
        out, err = (path.read_text() for path in self._told)
        for path in self._told:
            path.unlink()
        return out, err


@cache
def _forker() -> "subprocess.Popen[str]":
    """Run the forking process, which ends with its parent."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.forking"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _ask(request: list[object]) -> Any:
    forker = _forker()
    assert forker.stdin is not None
    assert forker.stdout is not None
    print(json.dumps(request), file=forker.stdin, flush=True)
    return json.loads(forker.stdout.readline())


def _serve() -> None:
    import h5py  # noqa: F401
    import simplejpeg  # noqa: F401
    import torch  # noqa: F401

    import clipfeat.embedding.stream
    import clipfeat.encoders.spectrum  # noqa: F401
    from clipfeat.store import writing

    writing.COMMIT_ROWS = 8
    for line in sys.stdin:
        what, *about = json.loads(line)
        answer = _start(*about) if what == "start" else _poll(*about)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _poll(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _start(words: list[str], cwd: str) -> int:
    if pid := os.fork():
        return pid
    os.setsid()
    os.chdir(cwd)
    for descriptor, name in enumerate((os.devnull, ".stdout", ".stderr")):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT, 0o644), descriptor)
    sys.argv = ["clipfeat", *words]
    from clipfeat.cli import main

    code = 1
    try:
        main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1 if error.code else 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # not the end of the process that forks
    return 0


if __name__ == "__main__":
    _serve()
