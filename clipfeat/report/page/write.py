"""The page: one file that needs no other, and its pictures as files beside it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from clipfeat.auditing.finding import Finding
from clipfeat.evaluate.leaderboard import COLUMN_TITLES, Leaderboard
from clipfeat.evaluate.result import Benchmark
from clipfeat.features import FeatureSet
from clipfeat.report.page.error_gallery import Thumbnails, mistakes_section
from clipfeat.report.page.findings import findings_section
from clipfeat.report.page.leaderboard_table import leaderboard_table
from clipfeat.report.page.plot_sections import (
    answer_sections,
    column_of,
    map_section,
    protocol_sections,
    robustness_section,
)
from clipfeat.report.page.run_details import setting_section
from clipfeat.report.page.section import Section
from clipfeat.report.page.templates import render
from clipfeat.report.page.threshold_table import thresholds_section
from clipfeat.report.plots.out_of_fold import Answers, gather
from clipfeat.report.plots.plot import Plot, inline
from clipfeat.report.plots.style import MOST, drawing
from clipfeat.system.files import publish
from clipfeat.system.locations import local_path
from clipfeat.zoo import CHANCE

if TYPE_CHECKING:
    import pandas as pd

PAGE, PLOTS = "report.html", "plots"


def write_page(
    run: Benchmark,
    board: Leaderboard,
    folder: str | Path,
    *,
    features: FeatureSet | None = None,
    remarks: Sequence[str] = (),
    findings: Sequence[Finding] = (),
    robustness: "pd.DataFrame | None" = None,
    degradations: Mapping[str, str] | None = None,
    thumbnails: Thumbnails | None = None,
) -> list[Path]:
    """Write ``report.html``, which asks no network, and each picture as ``.svg`` and ``.png``.

    Nothing is fitted or embedded: all is drawn from the out-of-fold answers that the run kept.

    Parameters
    ----------
    run : Benchmark
        What was found.
    board : Leaderboard
        Of its rows; the six best entries are drawn.
    folder : path
        Made if it is not there.
    features : FeatureSet, optional
        For the maps of the features.
    remarks : sequence of str
        Below the leaderboard; see `clipfeat.report.remarks`.
    findings : sequence of Finding
        What an audit of the same images found.
    robustness : DataFrame, optional
        What `clipfeat.prediction.degrading.Robustness.to_pandas` gives.
    degradations : mapping of str to str, optional
        Titles of the degradations.
    thumbnails : callable, optional
        From paths to small JPEG or PNG files, of those that it can read.

    Returns
    -------
    list of Path
        What was written, the page first.

    Raises
    ------
    StorageError
        If a file could not be written.
    """
    target = local_path(folder)
    (target / PLOTS).mkdir(parents=True, exist_ok=True)
    for stale in [*(target / PLOTS).glob("*.svg"), *(target / PLOTS).glob("*.png")]:
        stale.unlink()
    found = _answers(run, board)
    paths = [target / PAGE]
    with drawing():
        sections = [
            findings_section(findings),
            Section("leaderboard", "Leaderboard", [_caption(board, len(found))], remarks,
                    html=leaderboard_table(board, run.errors)),
            thresholds_section(run.rows, board.entries),
            setting_section(run),
            *(answer_sections(found, run.classes) if found else []),
            *protocol_sections(run, board, found),
            robustness_section(robustness, degradations or {}) if robustness is not None else None,
            map_section(features, column_of(run)) if features is not None else None,
            *(mistakes_section(run, entry, a, thumbnails) for entry, a in [*found.items()][:1]),
        ]  # fmt: skip
        shown = [section for section in sections if section is not None]
        pictures: dict[Plot, tuple[str, str]] = {}
        for plot, name in _named(shown):
            svg = plot.svg()
            for suffix, data in ((".svg", svg.encode()), (".png", plot.png())):
                paths.append(target / PLOTS / f"{name}{suffix}")
                publish(data, paths[-1])
            pictures[plot] = (f"{PLOTS}/{name}", inline(svg, name))
    html = render("page.html.j2", about=run.about, sections=shown, pictures=pictures)
    publish(html.encode(), paths[0])
    return paths


def _answers(run: Benchmark, board: Leaderboard) -> dict[str, Answers]:
    """Those of the best entries, best first; of chance only where there is nothing else."""
    gathered: dict[str, Answers] = {}
    chance = [entry for entry in board.entries if entry.partition(" @ ")[0] == CHANCE]
    for entry in [*(e for e in board.entries if e not in chance), *chance]:
        if len(gathered) == MOST or (gathered and entry in chance):
            break
        answers = gather(run, entry)
        if answers is not None:
            gathered[entry] = answers
    return gathered


def _caption(board: Leaderboard, n_drawn: int) -> str:
    said = (
        "Mean over folds and what it varies by; the best of each metric is bold. Ordered by "
        f"{COLUMN_TITLES[board.metric]}, best first; intervals are of new images, not of new "
        "trainings."
    )
    tied = sum(standing.tied for standing in board.standings.values())
    said += f" The {tied} at place 1= cannot be told apart by a paired test." if tied > 1 else ""
    few = f" Pictures below show the {n_drawn} best of {len(board.entries)} entries."
    return said + (few if n_drawn < len(board.entries) else "")


def _named(sections: Sequence[Section]) -> Iterator[tuple[Plot, str]]:
    """Each picture and a file name that no other has."""
    taken: set[str] = set()
    for plot in [plot for section in sections for plot in section.plots]:
        name = next(n for i in count(1) if (n := plot.name + f"-{i}" * (i > 1)) not in taken)
        taken.add(name)
        yield plot, name
