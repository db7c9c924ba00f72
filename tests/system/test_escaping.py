"""Tests of hostile names and labels in every kind of table."""

import csv
import io
import re
from collections import Counter
from html.parser import HTMLParser

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from clipfeat.cli.console import print_facts, print_table
from clipfeat.cli.exits import print_error_line
from clipfeat.errors import RefusedFileError
from clipfeat.images.readers import FileBytes
from clipfeat.images.record import ImageRecord
from clipfeat.images.source import make_source
from clipfeat.report.latex import latex_text
from clipfeat.report.markdown import markdown_table
from clipfeat.report.page.templates import environment
from clipfeat.system.escaping import (
    MAX_COLUMN_TEXT,
    MAX_IMAGE_TEXT,
    markdown_text,
    original_text,
    rich_text,
    spreadsheet_csv,
    spreadsheet_text,
    storable,
    storable_columns,
    terminal_text,
)

PIECES = [
    "[/x]", "[bold]", "[link=http://a]", "\\", "\x1b[2J", "\x1b]0;t\x07", "\x9b", "\n", "\r", "\t",
    "_", "__", "*", "~~",
    "|", "`", "<script>", "&lt;", "![x](http://a)", "$x$", "=1+1", "@SUM(A1)", "-", "+", "'", '"',
    ",", ";", "\u202e", "\u2028", "\ud800", "\0", "a", "é", " ",
]  # fmt: skip
HOSTILE = st.lists(st.sampled_from(PIECES), max_size=5).map("".join)
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e\ud800-\udfff]")


@given(HOSTILE)
def test_rich_prints_a_label_literally(label: str) -> None:
    """A label such as ``[/x]`` is printed literally and does not crash a table."""
    text = rich_text(label)
    assert text.plain == terminal_text(label)
    assert not CONTROL.search(text.plain)


@given(HOSTILE, HOSTILE)
def test_a_markdown_table_keeps_its_cells(first: str, second: str) -> None:
    """Each cell keeps its row and column, and contains no link, HTML or code."""
    *_, row, end = markdown_table(["a", "b"], [[first, second]]).split("\n")
    assert end == ""
    cells = re.split(r" (?<!\\)\| ", row.removeprefix("| ").removesuffix(" |"))
    unescaped = [re.sub(r"\\([\\`*~_\[\]<>|&$])", r"\1", cell) for cell in cells]
    assert unescaped == [terminal_text(first), terminal_text(second)]


@given(HOSTILE)
def test_markdown_shows_a_path_literally(path: str) -> None:
    """Rendered Markdown shows the path without emphasis, code, links or HTML."""
    parser = MarkdownIt("commonmark").enable("strikethrough")
    inline = parser.parse(f"- LEAK: such as {markdown_text(path)}, and more")[3]
    assert {child.type for child in inline.children or ()} <= {"text", "text_special"}
    shown = "".join(child.content for child in inline.children or ())
    assert shown == f"LEAK: such as {terminal_text(path)}, and more"


@given(HOSTILE)
def test_csv_for_people_has_no_formula_and_round_trips(label: str) -> None:
    """A spreadsheet shows text. Removing the apostrophe gives the label."""
    label = label.encode("utf-8", "replace").decode()  # pandas cannot hold lone surrogates
    ((head, _), (cell, number)) = csv.reader(
        io.StringIO(spreadsheet_csv(pd.DataFrame({label or "a": [label], "n": [-1.5]})), newline="")
    )
    assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    printable = terminal_text(label)
    assert cell == spreadsheet_text(printable) and head == spreadsheet_text(printable or "a")
    assert original_text(cell) == printable
    assert number == "-1.5"


@settings(deadline=None)  # the first call compiles the templates
@given(HOSTILE)
def test_html_of_the_pages_has_no_tags(label: str) -> None:
    """Jinja escapes every value, so no tag remains."""
    tags: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, _: tags.append(tag)  # type: ignore[method-assign]
    parser.feed(environment().from_string("<p title='{{ x }}'>{{ x }}</p>").render(x=label))
    assert tags == ["p"]


@given(HOSTILE)
def test_latex_is_one_line_without_control_characters(label: str) -> None:
    """No label can end a row or start a command."""
    text = latex_text(label)
    assert not CONTROL.search(text)
    assert "\n" not in text
    assert not re.search(r"(?<!\\)[&%#]", text)


def test_commands_print_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """Tables, facts and errors escape every control character."""
    print_table("".join(PIECES), PIECES, [PIECES])
    print_facts({"labels": "".join(PIECES)})
    print_error_line("".join(PIECES))
    printed = capsys.readouterr()
    assert not CONTROL.search(printed.out + printed.err)
    assert "[/x]" in printed.out


def test_the_limits_hold_for_escaped_texts() -> None:
    """Each character 0 becomes four characters, which readers count."""
    text = "\0" * (MAX_IMAGE_TEXT // 4)
    assert len(storable(text)) == MAX_IMAGE_TEXT
    with pytest.raises(RefusedFileError, match="more than 4096 bytes"):
        storable(text + "\0")
    shortened: Counter[str] = Counter()
    ((_, value),) = storable_columns([("caption", text + "\0")], shortened)
    assert (len(value.encode()), shortened["caption"]) == (MAX_COLUMN_TEXT, 1)
    (record,) = make_source("x", "", [ImageRecord(text + "\0", FileBytes("x"))])
    assert len(record.path.encode()) < MAX_IMAGE_TEXT
