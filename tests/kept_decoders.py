"""Decoding processes that are kept from one command to the next."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from clipfeat.images.isolated import IsolatedDecoder, Isolation


@contextmanager
def kept_decoders() -> Iterator[None]:
    """Let decoders with the same limits take over each other's idle child processes.

    Each command would start three processes, which takes 0.5 s of processor time.
    """
    kept: dict[Isolation, list[Any]] = defaultdict(list)
    leave = IsolatedDecoder.__exit__

    def enter_with_children(self: IsolatedDecoder) -> IsolatedDecoder:
        with self._lock:
            self._idle += kept.pop(self.isolation, [])
            self._all |= set(self._idle)
        return self

    def leave_children(self: IsolatedDecoder, *error: Any) -> None:
        with self._lock:
            kept[self.isolation] += self._idle
            self._all -= set(self._idle)
            self._idle.clear()
        leave(self, *error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(IsolatedDecoder, "__enter__", enter_with_children)
        patch.setattr(IsolatedDecoder, "__exit__", leave_children)
        yield
    for isolation, children in kept.items():
        with IsolatedDecoder(isolation) as decoder:
            decoder._all |= set(children)
