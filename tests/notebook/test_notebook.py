"""Test that the example notebook runs in a Jupyter kernel, and shows cards and progress."""

import os
from pathlib import Path

import pytest

from tests.notebook.test_representations import NEXT

ROOT = Path(__file__).resolve().parents[2]
SLOW = """
import time
from clipfeat.system.progress import Phase, reporting
with reporting(True) as report:
    for done in range(4):
        report(Phase("encoding", done, 3, "images", detail="<b>"))
        time.sleep(0.6)
"""


def test_the_example_runs_and_shows_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results have HTML and plain text. A long run ends with the time of each phase."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", paths)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    book = nbformat.read(ROOT / "examples" / "notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in book.cells)
    book.cells.append(nbformat.v4.new_code_cell(SLOW))
    nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    shown = [output["data"] for output in outputs if "data" in output]
    cards = [data["text/html"] for data in shown if "text/html" in data]
    assert all(any(f"<code>{call}" in one for one in cards) for call in NEXT.values())
    assert all("text/plain" in data for data in shown)
    assert any("image/png" in data for data in shown)
    assert [output for output in outputs if output.get("name") == "stderr"] == []
    progress = book.cells[-1]["outputs"]
    assert [sorted(output["data"]) for output in progress] == [["text/html", "text/plain"]]
    assert progress[0]["data"]["text/html"].startswith("<span>2.")
