"""Tests of feature files made of shards, local and on object stores."""

import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipfeat.errors import RefusedFileError, StorageError, UsageError
from clipfeat.features import Failure
from clipfeat.store import (
    FeatureWriter,
    Row,
    export,
    file_properties,
    load,
    merge_files,
    merging,
    open_stored,
    reading,
    verify,
    writing,
)
from clipfeat.store.generations import MOST_BYTES, newest_generation, shards_folder
from clipfeat.store.reading import part_paths
from clipfeat.system.locations import location
from tests.conftest import make_spec

WIDTH = 2000
SPEC = make_spec(n_features=WIDTH)
PLACES = ("folder", "memory", "s3")


def row(path: str, number: int, label: str = "") -> Row:
    return Row(path, number.to_bytes(16), label, height=4, width=5, file_size=9, format="PNG")


def values(*numbers: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array([np.full(WIDTH, n) for n in numbers], dtype=np.float32)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the limits so that every file has shards of two or three parts."""
    monkeypatch.setattr(merging, "SHARDED_ABOVE", 0)
    monkeypatch.setattr(merging, "SHARD_BYTES", 60_000)


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return locations for a feature file with shards."""
    if request.param == "folder":
        return str(tmp_path_factory.mktemp("shards"))
    root = "memory://" if request.param == "memory" else request.getfixturevalue("s3") + "/"
    return f"{root}{uuid.uuid4().hex}"


def write(out: str | Path, numbers: dict[str, int], **how: Any) -> int:
    with FeatureWriter(out, SPEC, **how) as writer:
        for path, number in numbers.items():
            writer.append([row(path, number)], values(number))
            writer.commit()
        return writer.finish()


def rows(out: str | Path) -> dict[str, int]:
    features = load(out)
    return {str(p): int(x[0]) for p, x in zip(features.paths, features.X, strict=True)}


events = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),
        st.integers(1, 4),
        st.sampled_from(["row", "row", "fail", "merge", "prune", "leave"]),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None)
@given(events=events, remote=st.booleans())
def test_any_history_reads_back(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[tuple[str, int, str]],
    remote: bool,
) -> None:
    """After any sequence of operations, the last row or failure of each path is read."""
    folder = f"memory://{uuid.uuid4().hex}" if remote else str(tmp_path_factory.mktemp("s"))
    out = f"{folder}/out.h5"
    expected: dict[str, int | None] = {}
    writer = FeatureWriter(out, SPEC)
    for name, number, event in [*events, ("", 0, "merge")]:
        if event == "row":
            writer.append([row(name, number)], values(number))
            expected[name] = number
        elif event == "fail":
            writer.fail(Failure(name, "DecodeError", "bad", number.to_bytes(16)))
            expected[name] = None
        elif event == "leave":
            with writer:
                pass
            writer = FeatureWriter(out, SPEC)
        else:
            only = {name, "a", "b"} if event == "prune" else None
            expected = {p: n for p, n in expected.items() if only is None or p in only}
            n_rows = writer.finish(only=only)
            assert n_rows == sum(n is not None for n in expected.values())
            assert not part_paths(location(out))
        writer.commit()  # a path is in a segment once
    writer.__exit__(None)
    features = load(out)
    assert rows(out) == {p: n for p, n in expected.items() if n is not None}
    assert {f.path for f in features.failures} == {p for p, n in expected.items() if n is None}
    assert verify(out).n_rows == len(features)


def test_all_that_reads_reads_it(place: str, tmp_path: Path) -> None:
    """Loading, properties, export and merge give equal results for snapshots and shards."""
    numbers = {f"{i:02d}.png": i for i in range(12)}
    out = f"{place}/out.h5"
    assert write(out, numbers) == 12
    generation = newest_generation(location(out))
    assert generation is not None
    assert len(generation.shards) > 2
    assert not location(out).exists()
    assert rows(out) == numbers
    assert verify(out).n_rows == 12
    assert file_properties(out).file_size.tolist() == [9] * 12
    assert export(out, tmp_path / "out.npz") == 12
    merged = merge_files([out], f"{place}/merged.h5")
    assert merged.n_rows == 12
    assert rows(f"{place}/merged.h5") == numbers


def test_what_is_finished_is_never_made_again(place: str) -> None:
    """A new row rewrites only the last small shard."""
    out = f"{place}/out.h5"
    write(out, {f"{i}.png": i for i in range(12)})
    before = newest_generation(location(out))
    write(out, {"new.png": 100})
    after = newest_generation(location(out))
    assert before is not None
    assert after is not None
    assert after.number == before.number + 1
    assert set(before.shards[:-1]) <= set(after.shards)
    assert rows(out) == {f"{i}.png": i for i in range(12)} | {"new.png": 100}
    write(out, {})
    assert newest_generation(location(out)) == after, "nothing new, and yet a generation"


def test_overwriting_takes_effect_at_once(place: str) -> None:
    """Until the new file is complete, the old one can be read."""
    out = f"{place}/out.h5"
    write(out, {"old.png": 1, "older.png": 2})
    with FeatureWriter(out, SPEC, overwrite=True) as writer:
        writer.append([row("new.png", 3)], values(3))
        writer.commit()
        assert rows(out) == {"old.png": 1, "older.png": 2}
        writer.finish()
    assert rows(out) == {"new.png": 3}
    generation = newest_generation(location(out))
    assert generation is not None
    paths = shards_folder(location(out)).glob("*.h5")
    assert {p.name for p in paths} >= {shard.name for shard in generation.shards}


def test_a_file_outgrows_one_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot that grows beyond the limit is converted to shards."""
    out = tmp_path / "out.h5"
    monkeypatch.setattr(merging, "SHARDED_ABOVE", 60_000)
    write(out, {"a.png": 1})
    assert out.is_file()
    write(out, {f"{i}.png": i for i in range(10)})
    assert not out.exists()
    assert rows(out) == {"a.png": 1} | {f"{i}.png": i for i in range(10)}
    assert {path.name for path in tmp_path.iterdir()} == {"out.h5.shards"}


def test_of_two_writers_without_a_lock_none_loses_a_row() -> None:
    """If two merges run concurrently, the second one merges again."""
    out = f"memory://{uuid.uuid4().hex}/out.h5"
    first, second = FeatureWriter(out, SPEC), FeatureWriter(out, SPEC)
    first.append([row("a.png", 1)], values(1))
    second.append([row("b.png", 2)], values(2))
    first.commit()
    second.commit()
    commit = writing.merge_into_shards
    turns = []

    def interrupted(*given: Any, **how: Any) -> bool:
        if not turns:
            turns.append(1)
            second.finish()  # between what the first one saw and what it commits
        return commit(*given, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "merge_into_shards", interrupted)
        assert first.finish() == 2
    assert rows(out) == {"a.png": 1, "b.png": 2}


def test_a_merge_killed_before_its_parts_were_removed(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Merged parts that were not removed are ignored."""
    out = f"{place}/out.h5"
    with monkeypatch.context() as patch:
        patch.setattr(writing, "tidy_up", lambda target: None)
        write(out, {"a.png": 1})
    assert part_paths(location(out))
    with open_stored(out) as stored:
        assert not stored.parts
    with monkeypatch.context() as patch:
        patch.setattr(writing, "tidy_up", lambda target: None)
        write(out, {"a.png": 2})
    assert rows(out) == {"a.png": 2}
    write(out, {"b.png": 3})
    assert rows(out) == {"a.png": 2, "b.png": 3}
    assert not part_paths(location(out))


def test_a_missing_or_damaged_shard_is_refused(tmp_path: Path) -> None:
    """The error names the shard and its number of rows."""
    out = tmp_path / "out.h5"
    write(out, {f"{i}.png": i for i in range(12)})
    generation = newest_generation(out)
    assert generation is not None
    first = shards_folder(out) / generation.shards[0].name
    data = first.read_bytes()
    first.unlink()
    with pytest.raises(
        RefusedFileError, match=rf"{first} of .* is missing \({generation.shards[0].n_rows} rows\)"
    ):
        load(out)
    write(tmp_path / "other.h5", {"other.png": 1})
    shutil.copy(next(shards_folder(tmp_path / "other.h5").glob("*.h5")), first)
    with pytest.raises(RefusedFileError, match="rows, but the list of shards"):
        load(out)
    turned = bytearray(data)
    turned[turned.index(values(1).tobytes())] ^= 1
    first.write_bytes(bytes(turned))
    with pytest.raises(RefusedFileError, match=r"the checksum of .* does not match"):
        verify(out)


@pytest.mark.parametrize(
    "about",
    [
        "text",
        "[]",
        {"version": 2},
        {"clipfeat": "model"},
        {"shards": []},
        {"shards": [{"name": "../../etc/passwd.h5", "n_rows": 1, "n_bytes": 1}]},
        {"number": 7},
        {"number": float("inf")},
        {"shards": [{"name": "a.h5", "n_rows": float("inf"), "n_bytes": 1}]},
        {"merged": 3},
    ],
)
def test_a_hostile_generation_is_refused(tmp_path: Path, about: Any) -> None:
    """A generation that names a file outside its folder is refused."""
    out = tmp_path / "out.h5"
    write(out, {"a.png": 1})
    path = next(shards_folder(out).glob("generation-*.json"))
    text = about
    if isinstance(about, dict):
        text = json.dumps(json.loads(path.read_text()) | about)
    path.write_text(text)
    with pytest.raises(RefusedFileError, match="generation-00000001"):
        load(out)


def test_a_generation_that_never_ends_is_refused(tmp_path: Path) -> None:
    """A link to a device or to a large file is refused before it is read."""
    out = tmp_path / "out.h5"
    write(out, {"a.png": 1})
    path = next(shards_folder(out).glob("generation-*.json"))
    large = tmp_path / "large"
    with large.open("wb") as opened:
        opened.truncate(MOST_BYTES + 1)
    for target, message in ((Path("/dev/null"), "not a regular file"), (large, "at most")):
        path.unlink()
        path.symlink_to(target)
        with pytest.raises(RefusedFileError, match=message):
            load(out)


def test_what_cannot_be_reached_is_one_error(s3: str) -> None:
    """A missing bucket, server or protocol is an error that names the file."""
    with pytest.raises(StorageError, match=r"s3://nowhere/.*bucket does not exist"):
        write("s3://nowhere/out.h5", {"a.png": 1})
    with pytest.raises(RefusedFileError, match=r"no such feature file: s3://bucket/none\.h5"):
        load(f"{s3}/none.h5")
    with pytest.raises(UsageError, match="unknown protocol xyz://"):
        load("xyz://a/out.h5")


def test_many_parts_become_one_as_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long run compacts its parts, so that readers can open all of them."""
    monkeypatch.setattr(writing, "MOST_PARTS", 4)
    out = tmp_path / "out.h5"
    with FeatureWriter(out, SPEC) as writer:
        for i in range(30):
            writer.append([row(f"{i}.png", i)], values(i))
            writer.commit()
            assert len(part_paths(out)) < 4 + i // 4
        assert rows(out) == {f"{i}.png": i for i in range(30)}
        assert writer.finish() == 30
    assert rows(out) == {f"{i}.png": i for i in range(30)}
    assert [path.name for path in tmp_path.iterdir()] == ["out.h5.shards"]


@pytest.mark.parametrize("name", ["exp[1]", "a?", "ü x", "50%", "a#b"])
@pytest.mark.parametrize("where", PLACES)
def test_folders_of_any_name(
    where: str, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Brackets, question marks and hashes in names are taken literally."""
    roots = {"folder": tmp_path, "memory": f"memory://{uuid.uuid4().hex}"}
    root = roots.get(where) or f"{request.getfixturevalue('s3')}/{uuid.uuid4().hex}"
    write(f"{root}/{name}/out.h5", {"a.png": 1, "b.png": 2})
    write(f"{root}/{name}/out.h5", {"c.png": 3})
    assert rows(f"{root}/{name}/out.h5") == {"a.png": 1, "b.png": 2, "c.png": 3}
    assert not part_paths(location(f"{root}/{name}/out.h5"))


def test_a_lost_answer_to_the_commit(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generation that was created counts as committed, even if the response was lost."""
    out = f"{s3}/{uuid.uuid4().hex}/out.h5"
    of: Any = location(out)
    create = of.fs.pipe_file

    def lost(path: str, data: bytes, mode: str = "overwrite", **how: Any) -> None:
        create(path, data, mode=mode, **how)
        if mode == "create":
            raise OSError(5, "sent again, and found itself")

    monkeypatch.setattr(of.fs, "pipe_file", lost)
    write(out, {"a.png": 1})
    write(out, {"b.png": 2})
    assert rows(out) == {"a.png": 1, "b.png": 2}


def test_many_parts_on_a_store_are_merged_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a store, compaction uses generations and keeps the later row."""
    monkeypatch.setattr(writing, "MOST_PARTS", 4)
    out = f"memory://{uuid.uuid4().hex}/out.h5"
    with FeatureWriter(out, SPEC) as first, FeatureWriter(out, SPEC) as second:
        for i in range(10):
            for writer, number in ((first, 2 * i), (second, 2 * i + 1)):
                writer.append([row("same.png", number)], values(number))
                writer.append([row(f"{number}.png", number)], values(number))
                writer.commit()
        assert len(part_paths(location(out))) < 10
        first.finish()
        second.finish()
    assert rows(out) == {"same.png": 19} | {f"{i}.png": i for i in range(20)}


def test_two_that_overwrite_do_not_mix() -> None:
    """If two writers overwrite a file on a store, the last one wins completely."""
    out = f"memory://{uuid.uuid4().hex}/out.h5"
    write(out, {"old.png": 0})
    with FeatureWriter(out, SPEC, overwrite=True) as first:
        first.append([row("a.png", 1)], values(1))
        first.commit()
        with FeatureWriter(out, SPEC, overwrite=True) as second:
            second.append([row("b.png", 2)], values(2))
            second.commit()
            first.finish()
            assert rows(out) == {"a.png": 1}
            second.finish()
    assert rows(out) == {"b.png": 2}


def test_an_overwriting_killed_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leftovers of a committed replacement are not resumed."""
    out = tmp_path / "out.h5"
    with monkeypatch.context() as patch:
        patch.setattr(writing, "remove_whole", lambda path: None)
        write(out, {"p.png": 2, "gone.png": 3}, overwrite=True)
    write(out, {"p.png": 5})
    write(out, {"new.png": 9}, overwrite=True)
    assert rows(out) == {"new.png": 9}


def test_a_merge_that_fails_leaves_no_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed merge deletes its files."""
    out = tmp_path / "out.h5"
    check = merging._check_space
    turns = []

    def full(*given: Any) -> None:
        turns.append(1)
        if len(turns) % 3 == 0:
            raise StorageError("no room")
        check(*given)

    with monkeypatch.context() as patch:
        patch.setattr(merging, "_check_space", full)
        for _ in range(2):
            with pytest.raises(StorageError, match="no room"):
                write(out, {f"{i}.png": i for i in range(12)})
            assert not list(shards_folder(out).glob("*.h5"))
    write(out, {})
    assert rows(out) == {f"{i}.png": i for i in range(12)}


def test_a_snapshot_of_elsewhere_is_not_deleted(tmp_path: Path) -> None:
    """A snapshot beside unrelated shards is an error, and both are kept."""
    out = tmp_path / "out.h5"
    write(out, {"a.png": 1})
    part = next(shards_folder(out).glob("*.h5"))
    shutil.copy(part, out)
    for use in (load, lambda path: write(path, {"b.png": 2})):
        with pytest.raises(RefusedFileError, match="Move one of them away"):
            use(out)
    assert out.exists()


def test_a_reader_between_two_generations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that sees two generations starts again."""
    out = tmp_path / "out.h5"
    write(out, {"x.png": 0})
    writer = FeatureWriter(out, SPEC)
    writer.append([row("x.png", 1)], values(1))
    writer.commit()
    from clipfeat.store import reading

    listed = reading.part_paths
    turns: list[int] = []

    def slow(target: Path) -> list[Path]:
        paths = listed(target)
        if not turns:
            turns.append(1)
            opened_before = [path.read_bytes() for path in paths]
            writer.finish()
            writer.append([row("x.png", 2)], values(2))
            writer.finish()
            for path, data in zip(paths, opened_before, strict=True):
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(data)  # as if it were open yet
        return paths

    monkeypatch.setattr(reading, "part_paths", slow)
    with open_stored(out) as stored:
        # The part is there again, and was merged two generations ago.
        assert turns
        assert stored.generation is not None
        assert stored.generation.number == 3


def test_errors_of_who_reads_are_their_own(place: str) -> None:
    """An exception of the caller is not reported as damage of the file."""
    out = f"{place}/out.h5"
    write(out, {"a.png": 1})
    with pytest.raises(KeyError, match="mine"), open_stored(out):
        raise KeyError("mine")


def test_shards_are_open_as_long_as_they_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with more shards than may be open is read and merged."""
    out = tmp_path / "out.h5"
    monkeypatch.setattr(reading, "MOST_OPEN", 2)
    write(out, {f"{i}.png": i for i in range(12)})
    n_shards = len(list(shards_folder(out).glob("*.h5")))
    assert n_shards > 3
    n_before = count_open_files()
    with open_stored(out) as stored:
        assert [int(x) for block in stored.features() for x in block[:, 0]] == list(range(12))
        assert stored.strings("paths").tolist() == [f"{i}.png" for i in range(12)]
        assert count_open_files() - n_before == 2
    assert count_open_files() == n_before
    write(out, {"3.png": 30, "12.png": 12})
    assert rows(out) == {f"{i}.png": 30 if i == 3 else i for i in range(13)}


def test_a_shard_that_a_merge_removes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a merge removes a shard before it is read, reading fails instead of skipping its rows."""
    out = tmp_path / "out.h5"
    write(out, {f"{i}.png": i for i in range(12)})
    monkeypatch.setattr(reading, "MOST_OPEN", 1)
    with open_stored(out) as stored:
        assert stored.n_rows == 12
        with FeatureWriter(out, SPEC) as writer:
            writer.finish(only={"1.png"})
        with pytest.raises(StorageError, match="removed or replaced"):
            list(stored.features())


def count_open_files() -> int:
    return int(h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE))
