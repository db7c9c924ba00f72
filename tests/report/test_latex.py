"""Tests of LaTeX tables."""

import numpy as np
import pytest

from clipfeat.report.latex import latex_comments, latex_table, latex_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b & 50 %", r"a\_b \& 50 \%"),
        ("\\input{x}", r"\textbackslash{}input\{x\}"),
        ("$x^2~#1", r"\$x\textasciicircum{}2\textasciitilde{}\#1"),
        ("0.9 ± 0.1, –", r"0.9 $\pm$ 0.1, --"),
        ("a\nb", "a b"),
        ('"q"', r"\char34{}q\char34{}"),
    ],
)
def test_special_characters_are_escaped(text: str, expected: str) -> None:
    """No name of a class or file can become a command."""
    assert latex_text(text) == expected


def test_every_row_has_the_cells_of_the_heading() -> None:
    """Separators in cells are escaped, and a bracket never follows a row end."""
    table = latex_table("t", ["a", "b"], [["[x]", "1"], ["y & z", "2"]])
    rows = [line for line in table.splitlines() if line.endswith(r"\\")]
    assert [len(line.replace(r"\&", "").split("&")) for line in rows] == [2, 2, 2]
    assert rows[1].startswith("{}[x]")
    assert np.all(["\n" not in line for line in rows])
    assert latex_comments(["one\ntwo"]) == "% one two\n"
