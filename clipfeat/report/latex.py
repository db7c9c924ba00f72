"""Tables in LaTeX, for the package booktabs."""

from collections.abc import Sequence

from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.rates import RateTable
from clipfeat.system.escaping import terminal_text

ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
        "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
        '"': r"\char34{}",  # \textquotedbl needs another font encoding than the default one
        "±": r"$\pm$", "–": "--", "×": r"$\times$", "σ": r"$\sigma$", "\n": " ", "\r": " ",
    }
)  # fmt: skip


def latex_text(text: str) -> str:
    r"""Escape the special characters of LaTeX.

    Examples
    --------
    >>> print(latex_text("50 % of a_b & {c}"))
    50 \% of a\_b \& \{c\}
    """
    return terminal_text(" ".join(text.splitlines())).translate(ESCAPES)


def latex_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""Format a table whose first column is text and whose other columns are numbers.

    Examples
    --------
    >>> print(latex_table("n per class", ["class", "n"], [["a_b", "3"]]), end="")
    % needs \usepackage{booktabs}
    \begin{table}
    \caption{n per class}
    \begin{tabular}{lr}
    \toprule
    class & n \\
    \midrule
    a\_b & 3 \\
    \bottomrule
    \end{tabular}
    \end{table}
    """
    # A line that starts with a bracket would be an argument of the \\ before it.
    texts = [list(map(latex_text, row)) for row in (heads, *rows)]
    head, *lines = (
        ("{}" if cells[0].startswith(("[", "*")) else "") + " & ".join(cells) + r" \\"
        for cells in texts
    )
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}", r"\begin{table}", rf"\caption{{{latex_text(title)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}", r"\toprule", head, r"\midrule",
            *lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", "",
        ]
    )  # fmt: skip


def latex_comments(notes: Sequence[str]) -> str:
    """Format sentences as comments, which do not appear in the document."""
    return "".join(f"% {terminal_text(' '.join(note.split()))}\n" for note in notes)


def leaderboard_latex(board: Leaderboard, title: str) -> str:
    """Format a leaderboard as a LaTeX table."""
    columns = board.columns
    rows = [[entry, *(board.cell(entry, name) for name in columns)] for entry in board.entries]
    # The meaning of ± is part of the caption, because comments do not appear in the document.
    caption = f"{title.rstrip('.')}. {board.spread_note}" if board.spread_note else title
    table = latex_table(caption, ["classifier", *columns.values()], rows)
    return table + latex_comments([note for note in board.notes if note != board.spread_note])


def rates_latex(table: RateTable, entry: str) -> str:
    """Format the rates of an entry as a LaTeX table."""
    text = latex_table(table.title(entry), table.heads, table.rows(entry))
    return text + latex_comments([table.note])
