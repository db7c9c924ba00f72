"""Matrix products in one thread.

OpenBLAS divides even small products among its threads, and threads without work wait actively. On
two cores, a logistic regression of 2,667 × 1,280 values and ten classes took 0.4 s of processor
time with one thread and 7 to 11 s with two. Results also depend on the number of threads, because
it changes the order of sums.
"""

from threadpoolctl import threadpool_limits


def one_blas_thread() -> threadpool_limits:
    """Limit BLAS to one thread inside a ``with`` block.

    The limit applies to the whole process. If several threads set it at the same time, it ends for
    all of them when the first of their blocks ends.
    """
    return threadpool_limits(1, user_api="blas")
