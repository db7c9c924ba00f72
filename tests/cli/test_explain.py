"""Tests of ``clipfeat explain``."""

from pathlib import Path

from tests.cli.command_line import assert_fails, clipfeat, embed, succeed


def test_neighbours_and_a_page(image_folder: Path) -> None:
    """Each image has probabilities and neighbours. --html writes a page."""
    embed()
    succeed("fit", "--cv", 0)
    words = ("explain", "model.clipfeat", "images/real/real-00.png", "--html", "why.html")
    result = succeed(*words, "--neighbours", 2, "--device", "cpu")
    lines = result.stdout.splitlines()
    assert lines[0] == "using out.h5, the only feature file in the current directory"
    assert sum(line.startswith("  distance ") for line in lines) == 2
    assert lines[2].startswith("  logreg: p_fake ") or lines[2].startswith("  logreg: p_real ")
    assert lines[-1] == "why.html"
    assert "data:image/png" in Path("why.html").read_text()
    assert_fails(clipfeat(*words), 2, "why.html exists")
