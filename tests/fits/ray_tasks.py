"""Functions that workers call. This module imports little, so that workers start quickly."""

import os
import signal
import time
from typing import Any

from threadpoolctl import threadpool_info


def describe(X: Any, y: Any, seconds: float) -> tuple[Any, ...]:
    """Return properties of the rows, the numbers of threads and the times on a worker."""
    begun = time.time()
    time.sleep(seconds)
    pools = [pool["num_threads"] for pool in threadpool_info()]
    threads = [*pools, int(os.environ["OMP_NUM_THREADS"])]
    return X.flags.writeable, X.flags.owndata, X.sum(), threads, begun, time.time()


def die_fail_or_return(number: int) -> int:
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 1:
        return 1 // 0
    return number
