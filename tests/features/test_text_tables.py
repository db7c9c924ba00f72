"""Tests of text tables: separators, lines and missing fields."""

import pytest

from clipfeat.errors import RefusedFileError
from clipfeat.features import text_tables
from clipfeat.features.decisions import COLUMNS
from clipfeat.features.face_keys import FIRST_FACE, hex_face_key
from clipfeat.features.text_tables import text_rows, text_table

TABLES = {
    "plain": b"path,label\na.png,1\nb.png,\n",
    "blank lines first": b"\r\n\n\npath,label\r\na.png,1\r\n\r\nb.png,\r\n",
    "old lines": b"path,label\ra.png,1\rb.png,\r",
    "no line at the end": b"path,label\na.png,1\nb.png,",
    "missing field": b"path,label\na.png,1\nb.png\n",
    "semicolons": b"path;label\na.png;1\nb.png;\n",
    "two marks": "\ufeff\ufeffpath,label\na.png,1\nb.png,\n".encode(),
    "UTF-16": "path,label\na.png,1\nb.png,\n".encode("utf-16"),
    "quoted": b'"path","label"\n"a.png","1"\n"b.png",""\n',
}

KEY = "0a" * 16
FACE = hex_face_key(KEY, FIRST_FACE)


@pytest.mark.parametrize("content", TABLES.values(), ids=TABLES.keys())
def test_the_text_of_a_table_does_not_depend_on_how_it_is_written(content: bytes) -> None:
    """Every way to write a table gives the same text values."""
    table = text_table(content, "x.csv")
    assert table.columns.tolist() == ["path", "label"]
    assert table.to_numpy().tolist() == [["a.png", "1"], ["b.png", ""]]


def test_line_breaks_in_quotes_belong_to_the_value() -> None:
    """Quoted headers and values may contain line breaks and any Unicode character."""
    content = '"the\npath",label\x0b,c\n"a\r\nb.png",\U0001f600,"x""y"\n'.encode()
    table = text_table(content, "x.csv")
    assert table.columns.tolist() == ["the\npath", "label", "c"]
    assert table.to_numpy().tolist() == [["a\r\nb.png", "\U0001f600", 'x"y']]


def test_a_row_with_a_million_fields_is_refused() -> None:
    """Reading such a file of one megabyte would take 40 seconds and a gigabyte of memory."""
    with pytest.raises(RefusedFileError, match="a line with 1000001 separators"):
        text_table(b"path,label\na.png,1" + b"," * 1_000_000 + b"\n", "t.csv")


@pytest.mark.parametrize(("other", "is_same"), [("0b" * 16, False), ("", True), (FACE, True)])
def test_decisions_about_one_path_are_about_one_image(other: str, is_same: bool) -> None:
    """A feature file of faces has other content hashes of the same images."""
    rows = [f"a.png,{label},ann,,{key},label" for label, key in (("cat", KEY), ("dog", other))]
    content = "\n".join([",".join(COLUMNS), *rows]).encode()
    if is_same:
        assert text_table(content, "labels.csv").to_numpy().tolist() == [["a.png", "dog"]]
    else:
        with pytest.raises(RefusedFileError, match="different images with the path"):
            text_table(content, "labels.csv")


def test_tables_of_many_short_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of decisions takes 50 times the memory of its file, so it may have fewer fields."""
    monkeypatch.setattr(text_tables, "MAX_FIELDS", 60)
    monkeypatch.setattr(text_tables, "MAX_CELLS", 180)
    decisions = ",".join(COLUMNS).encode() + b"\n" + b",,,,,\n" * 30
    for content in (decisions, b"a\n" * 61):
        with pytest.raises(RefusedFileError, match=r"^labels.csv has \d+ fields in its rows, but"):
            text_rows(content, "labels.csv", 60)
    with pytest.raises(RefusedFileError, match="fields in its rows, but at most 60"):
        text_table(decisions, "labels.csv")
    with pytest.raises(RefusedFileError, match="fields in its rows, but at most 180"):
        text_table(b"path,label\n" + b"a\n" * 90, "list.csv")
    assert len(text_table(b"path,label\n" + b"a,b\n" * 89, "list.csv")) == 89
