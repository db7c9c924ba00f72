"""Index of paths by the folders above them."""

from bisect import bisect_left
from collections.abc import Callable, Sequence


def indices_below(paths: Sequence[str]) -> Callable[[str], list[int]]:
    """Return a function that finds the paths below a folder.

    The paths are sorted once, so that many folders can be searched in little time.

    Parameters
    ----------
    paths : sequence of str
        Paths with slashes.

    Returns
    -------
    callable
        Takes the path of a folder with a slash at its end, or an empty text for all paths. Returns
        the indices of the paths below it, in ascending order.

    Examples
    --------
    >>> below = indices_below(["b/2.png", "a/1.png", "b.png", "b/c/1.png"])
    >>> below("b/"), below(""), below("c/")
    ([0, 3], [0, 1, 2, 3], [])
    """
    order = sorted(range(len(paths)), key=paths.__getitem__)
    in_order = [paths[i] for i in order]

    def below(folder: str) -> list[int]:
        if not folder:
            return list(range(len(paths)))
        after = folder[:-1] + chr(ord("/") + 1)  # the first text after all paths below the folder
        start, end = bisect_left(in_order, folder), bisect_left(in_order, after)
        return sorted(order[start:end])

    return below
