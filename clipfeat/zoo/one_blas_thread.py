"""Matrix products in one thread.

OpenBLAS divides even small products among its threads, and threads without work wait actively. On
two cores, a logistic regression of 2,667 × 1,280 values and ten classes took 0.4 s of processor
time with one thread and 7 to 11 s with two. Results also depend on the number of threads, because
it changes the order of sums.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

_lock = threading.Lock()
_users: list[threadpool_limits] = []


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread inside a ``with`` block.

    The limit applies to the whole process. If blocks overlap in several threads, it ends with the
    last of them.
    """
    with _lock:
        _users.append(threadpool_limits(1, user_api="blas") if not _users else _users[0])
    try:
        yield
    finally:
        with _lock:
            limits = _users.pop()
            if not _users:
                limits.restore_original_limits()
