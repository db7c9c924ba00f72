"""Tests of tables of digests in one block of memory."""

from hypothesis import given
from hypothesis import strategies as st

from clipfeat.store.digest_table import DigestTable

keys = st.binary(min_size=2, max_size=2)


@given(st.lists(st.tuples(keys, st.binary(min_size=1, max_size=1)), max_size=300), st.sets(keys))
def test_a_table_is_a_dictionary(items: list[tuple[bytes, bytes]], others: set[bytes]) -> None:
    """The table agrees with a dictionary, even for zeros, repeated keys and growth."""
    table, expected = DigestTable(2, 1), dict(items)
    for key, value in [(b"\0\0", b"x"), *items]:
        table.set(key, value)
    expected = {b"\0\0": b"x"} | expected
    assert len(table) == len(expected)
    assert {key: table.get(key) for key in others | expected.keys()} == {
        key: expected.get(key) for key in others | expected.keys()
    }
    assert [key.tobytes() for key in table.sorted_keys()[:, None]] == sorted(expected)


def test_memory_of_a_table() -> None:
    """A table of content hashes takes less than twice the bytes of the hashes."""
    table = DigestTable(16)
    for i in range(20_000):
        table.set(i.to_bytes(16))
        assert (i + 1).to_bytes(16) not in table
    assert len(table._slots) < 2 * 16 * len(table)
