"""Tests that hostile names are escaped in everything that clipfeat writes or prints.

One data set has a hostile class, hostile paths, columns and groups. Every command runs on it, and
every file and every line of output is checked for its format.
"""

import csv
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from clipfeat.hub import model_card
from clipfeat.model import load_model
from tests.cli.command_line import clipfeat, rehash, succeed
from tests.conftest import texture

MARKS = "|<script>alert(1)</script>&$x$%#_{}~^\\`[b](c)\x1b[31m\x9b\x07\n\r\u2028\u202e"
FORMULA = f"=1+1{MARKS}"
MARKUP = f"[/x]{MARKS}"
NAMES = {"class": FORMULA, "generator": MARKUP, "group": f"@SUM(A1){MARKS}", "scores": MARKUP}
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]")
TEXT = {".csv", ".md", ".tex", ".html", ".svg", ".json"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Run every command in a folder, and return the folder and all printed text."""
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        printed = "".join(_run_all())
    yield SimpleNamespace(folder=folder, printed=printed)


def _run_all() -> Iterator[str]:
    rng = np.random.default_rng(0)
    Path("images").mkdir()
    rows = []
    for number in range(24):
        path = f"{'-=+@'[number % 4]}1+1{MARKS.replace('/', '')}{number:02d}.png"
        texture(rng, smooth=number % 2 == 0, size=32).save(Path("images", path))
        made = number % 2 == 0
        rows.append(
            {"path": path, "label": FORMULA if made else "real",
             "generator": (MARKUP, "b")[number // 2 % 2] if made else "",
             "source": "" if made else (FORMULA, "c")[number // 2 % 2],
             "group": f"{NAMES['group']}{number // 4}"}
        )  # fmt: skip
    table = pd.DataFrame(rows)
    table.to_csv("images/list.csv", index=False, quoting=csv.QUOTE_ALL)
    table.assign(score=rng.uniform(size=24))[["path", "score"]].to_csv(
        "other.csv", index=False, quoting=csv.QUOTE_ALL
    )
    device = ("--device", "cpu")
    positive = ("--positive", FORMULA)
    commands: list[tuple[object, ...]] = [
        ("embed", "images/list.csv", "out.h5", "--encoder", "spectrum", *device),
        ("info", "out.h5"),
        ("audit", "out.h5", "-o", "audit"),
        ("fit", "out.h5", "--clf", "logreg", "--cv", 2, *positive, "--threshold", "accuracy"),
        ("info", "model.clipfeat"),
        ("predict", "model.clipfeat", "images/list.csv", "-o", "predictions.csv", *device),
        ("explain", "model.clipfeat", "images/list.csv", "--features", "out.h5",
         "--html", "why.html", *device),
        ("robustness", "model.clipfeat", "images/list.csv", "--degrade", "jpeg", "-o", "r",
         *device),
        ("benchmark", "out.h5", "--clf", "logreg,dummy", "--cv", 2, "--scores",
         f"{NAMES['scores']}=other.csv", *positive, "--threshold", "accuracy", "-o", "run"),
        ("benchmark", "out.h5", "--clf", "logreg", "--matrix", "generator", *positive, "--cv", 2,
         "--robustness", "r", "--no-audit", "--no-thumbnails", "-o", MARKS.replace("/", "")),
        ("info", "run"),
    ]  # fmt: skip
    for words in commands:
        if words[0] == "robustness":
            rehash(Path("images"))
        result = clipfeat(*words)
        assert result.exit_code in ((0, 7) if words[0] == "audit" else (0,)), result.stderr
        yield result.stdout + result.stderr
    pair = ("compare", "run", MARKS.replace("/", ""))
    yield succeed(*pair).stdout
    for name, suffix in (("md", "md"), ("csv", "csv"), ("latex", "tex")):
        yield succeed(*pair, "--format", name).stdout
        succeed(*pair, "--format", name, "-o", f"compared.{suffix}")
    Path("README.md").write_text(model_card(load_model("model.clipfeat"), "user/name"))
    failed = clipfeat("benchmark", "out.h5", "--by", MARKS)
    assert failed.exit_code == 2
    yield failed.stderr


def files(written: SimpleNamespace, suffix: str) -> list[Path]:
    """Return the written files with a suffix, except the inputs."""
    paths = [path for path in written.folder.rglob(f"*{suffix}") if path.is_file()]
    return [path for path in paths if path.name not in ("list.csv", "other.csv")]


def test_every_format_is_checked(written: SimpleNamespace) -> None:
    """The commands write every kind of file, and each kind is checked."""
    names = {path.name for path in written.folder.rglob("*") if path.is_file()}
    assert names >= {
        "predictions.csv", "leaderboard.csv", "leaderboard.md", "leaderboard.tex", "scores.csv",
        "robustness.csv", "rates.csv", "findings.csv", "files.csv", "audit.json", "report.html",
        "why.html", "README.md", "compared.md", "compared.csv", "compared.tex", "run.json",
    }  # fmt: skip
    binary = {".png", ".h5", ".clipfeat", ".npz", ".parquet", ".stat", ""}
    assert {Path(name).suffix for name in names} <= TEXT | binary


def test_no_output_has_control_characters(written: SimpleNamespace) -> None:
    """Escape sequences, direction marks and carriage returns are escaped everywhere."""
    assert not CONTROL.search(written.printed)
    assert "\\x1b[31m" in written.printed and "\\u202e" in written.printed
    assert "[/x]|<script>" in written.printed
    for suffix in TEXT:
        for path in files(written, suffix):
            text = path.read_bytes().decode()
            assert not CONTROL.search(text), (path.name, CONTROL.search(text))


def test_csv_files_have_no_formula(written: SimpleNamespace) -> None:
    """Every row has the cells of the header, and only numbers start like a formula."""
    for path in files(written, ".csv"):
        with path.open(newline="", encoding="utf-8") as file:
            head, *rows = csv.reader(file)
        assert rows or path.name == "files.csv", path.name
        assert {len(row) for row in (head, *rows)} == {len(head)}, path.name
        for cell in (cell for row in (head, *rows) for cell in row):
            if cell.lstrip().startswith(("=", "+", "-", "@")):
                float(cell)


def test_markdown_has_no_html_and_whole_tables(written: SimpleNamespace) -> None:
    """No name becomes a tag or a link, and table rows have equal numbers of cells."""
    for path in files(written, ".md"):
        text = re.sub(r"\\[\\`*\[\]<>|&$]", "", path.read_text())
        assert "script" in text and "<" not in text, path.name
        assert "](c)" not in text
        for block in re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE):
            assert len({line.count("|") for line in block.splitlines()}) == 1, path.name


def test_latex_can_be_compiled(written: SimpleNamespace) -> None:
    """Special characters are escaped, braces are balanced, and rows have all cells."""
    for path in files(written, ".tex"):
        lines = [line for line in path.read_text().splitlines() if not line.startswith("%")]
        text = "\n".join(lines)
        assert text.isascii(), sorted({c for c in text if not c.isascii()})
        plain = re.sub(r"\\[&%$#_{}]|\$\\(?:pm|times|sigma)\$", "", text)
        assert not re.search(r"[%$#_~^]", plain), path.name
        depth = np.cumsum([(c == "{") - (c == "}") for c in plain])
        assert depth.min() == depth[-1] == 0
        known = (
            r"\\(?:begin|end)\{(?:table|tabular)\}(?:\{lr+\})?|\\caption|\\(?:top|mid|bottom)rule"
            r"|\\text(?:backslash|less|greater|bar|asciitilde|asciicircum)\{\}|\\char34\{\}|\\\\$"
        )
        assert "\\" not in re.sub(known, "", plain, flags=re.MULTILINE), path.name
        for table in re.findall(r"\\begin\{tabular\}\{(lr+)\}(.*?)\\end", plain, flags=re.DOTALL):
            rows = [line for line in table[1].splitlines() if line.endswith(r"\\")]
            assert {row.count("&") for row in rows} == {len(table[0]) - 1}, path.name


class Tags(HTMLParser):
    """Parser that collects the tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Collect a tag."""
        self.tags.append(tag)


def test_pages_have_no_tags_of_names(written: SimpleNamespace) -> None:
    """A page has only its own script, and no name becomes an event handler."""
    for path in files(written, ".html"):
        page = Tags()
        page.feed(path.read_text())
        assert page.tags.count("script") == (path.name == "report.html"), path
        assert "alert(1)" in path.read_text()
    for path in files(written, ".svg"):
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(path).iter()}
        assert "script" not in tags


def test_json_files_can_be_read(written: SimpleNamespace) -> None:
    """JSON files contain the names unchanged."""
    for path in files(written, ".json"):
        content = json.loads(path.read_text())
        if path.name == "run.json":
            assert FORMULA in content["about"]["classes"]
