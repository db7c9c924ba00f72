"""A trial run of an ONNX file in a child process.

An ONNX file is a program. It may loop forever, ask for memory of any size, or crash onnxruntime. So
the file is loaded and run on one batch of zeros in a child process with limits, before this process
loads it. The child imports onnxruntime and NumPy only, and takes half a second for a small file.
"""

import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from clipfeat.errors import WeightsError
from clipfeat.system.process_limits import child_environment, ending, limit_memory

SECONDS = 120
MEMORY = 4 * 2**30
MEMORY_RATIO = 3
"""Limits of the child: its seconds, and its address space in addition to the model's size times
`MEMORY_RATIO`. onnxruntime holds the weights twice while it packs them."""
_TOO_MUCH_MEMORY = 3
_UNKNOWN_SIDE = 32


def try_file(path: Path, external: Iterable[Path], image_size: int | None) -> None:
    """Load and run a file in a child process.

    A file that onnxruntime refuses with an error passes, because loading it again gives the error.

    Parameters
    ----------
    path : Path
        The ONNX file.
    external : iterable of Path
        The files that hold its tensors.
    image_size : int, optional
        Side of the images in pixels, for a file that does not fix it.

    Raises
    ------
    WeightsError
        If onnxruntime crashes, or needs more time or memory than the limits allow.
    """
    n_bytes = sum(file.stat().st_size for file in (path, *external))
    memory = MEMORY + MEMORY_RATIO * n_bytes
    arguments = [path.absolute(), image_size or 0, SECONDS, memory]
    command = [sys.executable, "-P", "-m", "clipfeat.encoders.onnx_trial", *map(str, arguments)]
    try:
        code = subprocess.run(
            command,
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS + 5,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        code = -signal.SIGALRM
    if code == 0:
        return
    if code == -signal.SIGALRM:
        reason = f"takes longer than {SECONDS} s for one batch"
    elif code == _TOO_MUCH_MEMORY:
        reason = f"needs more than {memory / 2**30:.3g} GiB of memory for one batch"
    else:
        reason = f"ends onnxruntime with {ending(code)}"
    raise WeightsError(f"{path} {reason}. Export the model for inference.")


def main(path: str, image_size: int, seconds: int, memory: int) -> int:
    """Load and run a file within limits, and return the exit code."""
    import numpy as np
    import onnxruntime

    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)
    limit_memory(memory)
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        first = session.get_inputs()[0]
        session.run(None, {first.name: np.zeros(_shape(first.shape, image_size), np.float32)})
    except MemoryError:
        return _TOO_MUCH_MEMORY
    except Exception as error:
        # onnxruntime has a dozen error classes without a common parent.
        return _TOO_MUCH_MEMORY if is_memory_error(error) else 0
    return 0


def is_memory_error(error: Exception) -> bool:
    """Return whether an error of onnxruntime means that there is not enough memory."""
    text = str(error)
    return any(part in text for part in ("allocate memory", "bad_alloc", "out of memory"))


def _shape(dimensions: Iterable[Any], image_size: int) -> list[int]:
    """Return a shape for two images. A dimension that is not fixed is a name or None."""
    fixed = [n if isinstance(n, int) and n > 0 else None for n in dimensions]
    side = image_size or _UNKNOWN_SIDE
    usual = [2, side, side, 3] if fixed[3:] == [3] and fixed[1:2] != [3] else [2, 3, side, side]
    return [n or default for n, default in zip(fixed, usual, strict=False)]


if __name__ == "__main__":
    import os

    with suppress(Exception):
        os._exit(main(sys.argv[1], *map(int, sys.argv[2:5])))
    os._exit(0)  # the error is raised when the file is loaded again
