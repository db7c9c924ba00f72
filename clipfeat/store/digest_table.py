"""Tables of content hashes and other digests, in one block of memory.

An entry of a set or dictionary of Python objects takes 100 to 200 bytes. An entry of these tables
takes about 1.5 times the bytes of its key and value, because some of the slots are empty.
"""

import numpy as np
from numpy.typing import NDArray

FULLEST = 0.8
"""A table grows when more than this share of its slots would be in use."""
GROWTH = 1.5
_FEWEST_SLOTS = 64


class DigestTable:
    """Hash table with open addressing for keys and values of a fixed number of bytes.

    One thread may change the table while other threads look up keys.

    Parameters
    ----------
    key_bytes, value_bytes : int
        Length of each key and of each value. Without values, the table is a set of keys.

    Examples
    --------
    >>> table = DigestTable(2, 1)
    >>> table.set(b"ab", b"1")
    >>> table.get(b"ab"), table.get(b"ba"), b"ab" in table, len(table)
    (b'1', None, True, 1)
    """

    def __init__(self, key_bytes: int, value_bytes: int = 0) -> None:
        self._key_bytes = key_bytes
        self._width = key_bytes + value_bytes
        self._slots = bytearray(_FEWEST_SLOTS * self._width)
        self._n_used = 0
        self._no_key = bytes(key_bytes)
        self._of_no_key: bytes | None = None  # zeros mark an empty slot, so this key has no slot

    def __len__(self) -> int:
        return self._n_used + (self._of_no_key is not None)

    def __contains__(self, key: bytes) -> bool:
        return self.get(key) is not None

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None if the table does not have the key."""
        if key == self._no_key:
            return self._of_no_key
        slots = self._slots
        slot = slots[(at := self._find(slots, key)) : at + self._width]
        return bytes(slot[self._key_bytes :]) if slot.startswith(key) else None

    def set(self, key: bytes, value: bytes = b"") -> None:
        """Add a key, or change its value."""
        if key == self._no_key:
            self._of_no_key = value
            return
        at = self._find(self._slots, key)
        if not self._slots.startswith(key, at):
            if self._n_used >= FULLEST * (len(self._slots) // self._width):
                self._grow()
                at = self._find(self._slots, key)
            self._n_used += 1
        self._slots[at : at + self._width] = key + value

    def sorted_keys(self) -> NDArray[np.bytes_]:
        """Return the keys as an array of type S in ascending order."""
        slots = np.frombuffer(self._slots, np.uint8).reshape(-1, self._width)
        used = slots[:, : self._key_bytes].any(axis=1)
        raw = slots[used, : self._key_bytes].tobytes()
        keys: NDArray[np.bytes_] = np.frombuffer(raw, f"S{self._key_bytes}").copy()
        if self._of_no_key is not None:
            keys = np.append(keys, np.zeros(1, keys.dtype))
        keys.sort()
        return keys

    def _find(self, slots: bytearray, key: bytes) -> int:
        """Return the position of a key's slot, or of the empty slot for it."""
        width, n_bytes, no_key = self._width, self._key_bytes, self._no_key
        at = hash(key) % (len(slots) // width) * width
        while (stored_key := slots[at : at + n_bytes]) != key and stored_key != no_key:
            at += width
            if at == len(slots):
                at = 0
        return at

    def _grow(self) -> None:
        old, width = self._slots, self._width
        slots = bytearray(int(GROWTH * (len(old) // width)) * width)
        for start in range(0, len(old), width):
            key = bytes(old[start : start + self._key_bytes])
            if key != self._no_key:
                at = self._find(slots, key)
                slots[at : at + width] = old[start : start + width]
        self._slots = slots  # only now, because other threads may look up keys
