"""Tests of which files and addresses a table may name."""

import io
import os
import socket
import warnings
from pathlib import Path
from typing import Any

import pytest

from clipfeat.embedding.pipeline import embed
from clipfeat.errors import ClipfeatWarning, UsageError
from clipfeat.images import open_source
from clipfeat.system.locations import location


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a stranger's folder beside private files. The current directory is elsewhere."""
    for name in ("data/in/a.png", "data/b.png", "private/c.png", "home/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "data" / "link").symlink_to(tmp_path / "private")
    (tmp_path / "data" / "one.png").symlink_to(tmp_path / "private" / "c.png")
    (tmp_path / "data" / "within").symlink_to(tmp_path / "data" / "in")
    (tmp_path / "linked").symlink_to(tmp_path / "data")
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path


def read(folder: Path, *paths: str, **options: Any) -> list[bytes]:
    """Write a table of paths, and read its images. ``%`` in a path is the outer folder."""
    text = "\n".join(["path", *(path.replace("%", str(folder)) for path in paths)])
    (folder / "data" / "t.csv").write_text(text)
    return [r.reader.read() for r in open_source(str(folder / "data" / "t.csv"), **options)]


@pytest.mark.parametrize(
    "path",
    ["b.png", "%/data/in/a.png", "%/home/d.png", "in/../b.png", "within/a.png", "../home/d.png",
     "file://%/data/b.png", "%/linked/b.png"],
)  # fmt: skip
def test_files_in_the_folder_of_the_table_or_in_the_working_folder(folder: Path, path: str) -> None:
    """Any path to a file in these folders is allowed, with links and ``..``."""
    assert len(read(folder, path)) == 1


@pytest.mark.parametrize(
    ("path", "root"),
    [
        ("%/private/c.png", "%/private"),
        ("../private/c.png", "%"),
        ("in/../../private/c.png", "%"),
        ("link/c.png", "%/data"),
        ("one.png", "%/data"),
        ("link/../private/c.png", "%"),
        ("file://%/private/c.png", "%/private"),
        ("%/private/../private/c.png", "/"),
    ],
)
def test_other_files_are_refused_until_their_folder_is_given(
    folder: Path, path: str, root: str
) -> None:
    """The error is one line, and its remedy works."""
    with pytest.raises(UsageError, match="that are neither in its folder") as caught:
        read(folder, "b.png", path)
    assert "\n" not in str(caught.value)
    proposed = str(caught.value).rpartition("--image-root ")[2]
    for given in {proposed, root.replace("%", str(folder))}:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ClipfeatWarning)
            contents = read(folder, "b.png", path, image_root=given)
        assert contents == [b"data/b.png", b"private/c.png"]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("https://host.invalid/1.png", r"has addresses \(1\), .* pass --allow-remote"),
        ("S3://bucket/1.png", "pass --allow-remote"),
        ("ftp://host.invalid/1.png", "protocol ftp, expected one of abfs, .*https"),
        ("github://user:repo@main/1.png", "the protocol github"),
        ("simplecache::https://host.invalid/1.png", "chained address"),
        ("zip://1.png::https://host.invalid/1.zip", "chained address"),
        ("https://host.invalid/1.png#part", "fragment"),
    ],
)
def test_addresses_need_a_flag(
    folder: Path, address: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the flag, no request is made. With it, only known protocols are allowed."""

    def refuse(*_: object) -> None:
        raise AssertionError("a request was made")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("clipfeat.images.readers.location", refuse)
    with pytest.raises(UsageError, match=message):
        read(folder, address)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{folder}/data/b.png\n{address}\n"))
    with pytest.raises(UsageError, match=f"standard input .*{message.removeprefix('has ')}"):
        open_source("-")
    if "--allow-remote" not in message:
        with pytest.raises(UsageError, match=message):
            read(folder, address, allow_remote=True)


def test_a_remote_table_reaches_only_below_its_folder() -> None:
    """Objects below the table's folder need no flag, in any spelling of the address."""
    base: Any = location("memory://table/paths")
    of = base.fs
    for name in ("paths/in/a.png", "paths/b.png", "other/c.png"):
        of.pipe_file(f"/table/{name}", name.encode())
    table = "memory://table/paths/t.csv"

    def names(*paths: str, **options: Any) -> list[bytes]:
        of.pipe_file("/table/paths/t.csv", "\n".join(["path", *paths]).encode())
        return [record.reader.read() for record in open_source(table, **options)]

    assert names("b.png", "memory://table/paths/in/a.png") == [b"paths/b.png", b"paths/in/a.png"]
    outside = "memory://table/other/c.png"
    for path in (outside, "../other/c.png", "memory://table/paths/../other/c.png",
                 "memory://table/paths/%2e%2e/other/c.png"):  # fmt: skip
        with pytest.raises(UsageError, match="pass --allow-remote"):
            names(path)
    assert names(outside, allow_remote=True) == [b"other/c.png"]
    assert names("c.png", image_root="memory://table/other") == [b"other/c.png"]
    assert names(outside, image_root="memory://table/other") == [b"other/c.png"]


def test_paths_that_no_system_accepts_are_failures_of_single_images(folder: Path) -> None:
    """A null byte or an overlong name does not end the listing."""
    long = "x" * 5000
    paths = ["b.png", "a\0.png", "a\0/b.png", f"{long}.png", f"{long}/a.png"]
    (folder / "data" / "t.csv").write_text("\n".join(["path", *paths]))
    source = open_source(str(folder / "data" / "t.csv"))
    stored = {record.path for record in source}
    assert len(stored) == 5
    assert max(map(len, stored)) < 300
    report = embed(source, folder / "out.h5", encoder="spectrum")
    assert len(report.failures) == 5


def test_many_paths_are_checked_quickly(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each folder is resolved only once."""
    calls: list[str] = []
    original = os.path.realpath
    monkeypatch.setattr("os.path.realpath", lambda path, **_: calls.append(path) or original(path))
    (folder / "data" / "t.csv").write_text("\n".join(["path", *(f"in/{i}.png" for i in range(99))]))
    assert len(open_source(str(folder / "data" / "t.csv"))) == 99
    assert len(calls) < 10
