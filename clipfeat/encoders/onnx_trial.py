"""A trial run of an ONNX file in a child process.

An ONNX file is a program. It may loop forever, ask for memory of any size, or crash onnxruntime.
Its parser may need hundreds of times the size of the file. Before this process loads a file, a
child process with limits therefore parses and loads it, and runs it on one batch of zeros. The
child does not import torch, and takes about a second for a small file.

The child prints a JSON object: the external files of the model, or an error.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipfeat.errors import WeightsError
from clipfeat.system.process_limits import child_environment, ending, limit_memory

SECONDS, MOST_SECONDS, SECONDS_PER_GIB = 5, 120, 100
"""Limits of the child's CPU time: the seconds for a small model, the maximum for any model, and the
additional seconds for each GiB of the model."""
MEMORY, MOST_MEMORY, MEMORY_PER_BYTE = 3 * 2**28, 4 * 2**30, 16
"""Limits of the child's address space in bytes: for a small model, the maximum for any model, and
the additional bytes for each byte of the model. Small networks need little memory for a batch."""
MEMORY_RATIO = 3
"""Bytes of address space, in addition to these limits, for each byte of the model. onnxruntime
holds the weights twice while it packs them."""
PARSER_MEMORY = 3 * 2**28
"""Limit of the address space, in addition to the model's size times `MEMORY_RATIO`, while the file
is parsed. Python and onnx take about half of it."""
_TOO_MUCH_MEMORY = 3
_OUT_OF_TIME = getattr(signal, "SIGPROF", signal.SIGTERM)
_UNKNOWN_SIDE = 32


def try_file(path: Path, image_size: int | None) -> list[Path]:
    """Parse, load and run a file in a child process.

    A file that loads but does not run on the batch of zeros passes, because the error may depend on
    the options.

    Parameters
    ----------
    path : Path
        The ONNX file.
    image_size : int, optional
        Side of the images in pixels, for a file that does not fix it.

    Returns
    -------
    list of Path
        The files, except the model itself, that hold its tensors.

    Raises
    ------
    WeightsError
        If the file is not an ONNX file, if one of its external files cannot be used, or if it has a
        loop, or a tensor whose size depends on the pixels. If onnxruntime refuses the file or
        crashes. If the file needs more time or memory than the limits allow.
    """
    arguments = map(str, [path.absolute(), image_size or 0, SECONDS, MEMORY, PARSER_MEMORY])
    command = [sys.executable, "-P", "-m", "clipfeat.encoders.onnx_trial", *arguments]
    output = b""
    try:
        done = subprocess.run(
            command,
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=2 * MOST_SECONDS,
            check=False,
        )
        code, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired:
        code = -_OUT_OF_TIME
    result = _parsed(output)
    if code == 0 and "error" in result:
        raise WeightsError(str(result["error"]).replace(str(path.absolute()), str(path)))
    if code == 0 and "external" in result:
        return [Path(os.fsdecode(name)) for name in result["external"]]
    if code == -_OUT_OF_TIME:
        seconds = result.get("seconds", SECONDS)
        reason = f"takes longer than {seconds:.3g} s of CPU time for one batch"
    elif code == _TOO_MUCH_MEMORY:
        memory = f"{result.get('memory', MEMORY) / 2**30:.3g} GiB of memory"
        reason = f"needs more than {memory} {result.get('purpose', 'for one batch')}"
    else:
        reason = f"crashes onnxruntime ({ending(code)})"
    raise WeightsError(f"{path} {reason}. Export the model for inference.")


def _parsed(output: bytes) -> dict[str, Any]:
    """Parse the last line of the child's output. Libraries may print other lines before it."""
    with suppress(ValueError, IndexError):
        result = json.loads(output.splitlines()[-1])
        if isinstance(result, dict):
            return result
    return {}


@dataclass(frozen=True)
class Limits:
    """Limits of the child for a small model.

    Parameters
    ----------
    seconds : int
        CPU time.
    memory : int
        Address space in bytes.
    parser_memory : int
        Address space while the file is parsed, in addition to its size times `MEMORY_RATIO`.
    """

    seconds: int
    memory: int
    parser_memory: int

    def seconds_of(self, size: int) -> float:
        """Return the CPU time for a model of this size in bytes."""
        return min(self.seconds + SECONDS_PER_GIB * size / 2**30, MOST_SECONDS)

    def memory_of(self, size: int) -> int:
        """Return the address space for a model of this size in bytes."""
        return min(self.memory + MEMORY_PER_BYTE * size, MOST_MEMORY) + MEMORY_RATIO * size


def _limit_time(seconds: float, since: float) -> None:
    """Let a signal end this process after it has used `seconds` of CPU time since `since`.

    The limit is printed first, because the process cannot print an error when the signal ends it.
    """
    if hasattr(signal, "setitimer"):
        sys.stdout.write("\n" + json.dumps({"seconds": seconds}) + "\n")
        sys.stdout.flush()
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, max(seconds - (time.process_time() - since), 0.01))


def main(path: str, image_size: int, limits: Limits) -> tuple[int, dict[str, Any]]:
    """Parse, load and run a file within limits, and return the exit code and the result."""
    import onnx  # noqa: F401 -- imported before the memory is limited
    import onnxruntime

    from clipfeat.encoders.onnx_external import external_files

    start = time.process_time()
    model = Path(path)
    size = model.stat().st_size
    _limit_time(limits.seconds_of(size), start)
    most = limits.parser_memory + MEMORY_RATIO * size
    limit_memory(most)
    try:
        external = external_files(model)
    except (MemoryError, WeightsError) as error:
        if isinstance(error, MemoryError) or is_memory_error(error):
            return _TOO_MUCH_MEMORY, {"memory": most, "purpose": "to be parsed"}
        return 0, {"error": str(error)}
    size = sum(file.stat().st_size for file in (model, *external))
    most = limits.memory_of(size)
    _limit_time(limits.seconds_of(size), start)
    limit_memory(most)
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    is_loaded = False
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        is_loaded = True
        _run_on_zeros(session, image_size)
    except Exception as error:
        # onnxruntime has a dozen error classes without a common parent.
        if isinstance(error, MemoryError) or is_memory_error(error):
            return _TOO_MUCH_MEMORY, {"memory": most}
        if not is_loaded:
            return 0, {"error": refusal(path, error)}
    return 0, {"external": [os.fsdecode(file) for file in external]}


def _run_on_zeros(session: Any, image_size: int) -> None:
    import numpy as np

    first = session.get_inputs()[0]
    session.run(None, {first.name: np.zeros(_shape(first.shape, image_size), np.float32)})


def refusal(path: str | Path, error: Exception) -> str:
    """Return the message for a file that onnxruntime refuses."""
    reason = " ".join(str(error).split())[:300]
    return f"onnxruntime cannot run {path}: {reason}. Export the model with standard operators."


def is_memory_error(error: Exception) -> bool:
    """Return whether an error of onnxruntime or protobuf means that there is not enough memory."""
    parts = (
        "allocate memory", "bad_alloc", "out of memory", "Arena alloc failed",
        "is smaller than requested bytes",
    )  # fmt: skip
    return any(part in str(error) for part in parts)


def _shape(dimensions: Iterable[Any], image_size: int) -> list[int]:
    """Return a shape for two images. A dimension that is not fixed is a name or None."""
    fixed = [n if isinstance(n, int) and n > 0 else None for n in dimensions]
    side = image_size or _UNKNOWN_SIDE
    usual = [2, side, side, 3] if fixed[3:] == [3] and fixed[1:2] != [3] else [2, 3, side, side]
    return [n or default for n, default in zip(fixed, usual, strict=False)]


if __name__ == "__main__":
    code, result = main(sys.argv[1], int(sys.argv[2]), Limits(*map(int, sys.argv[3:6])))
    sys.stdout.write("\n" + json.dumps(result))
    sys.stdout.flush()
    os._exit(code)
