"""The page of a run: one self-contained HTML file, and a folder with each plot as SVG and PNG."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from clipfeat.evaluate.external_scores import no_probabilities
from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.metrics import METRICS
from clipfeat.evaluate.rates import RateTable
from clipfeat.evaluate.result import Benchmark
from clipfeat.features import FeatureSet
from clipfeat.features.classes import positive_class
from clipfeat.report.page.error_gallery import Thumbnails, errors_section
from clipfeat.report.page.findings import findings_section
from clipfeat.report.page.leaderboard_table import leaderboard_table
from clipfeat.report.page.plot_sections import (
    map_section,
    prediction_sections,
    protocol_sections,
    robustness_section,
)
from clipfeat.report.page.rates_table import degraded_rates_section, rates_section
from clipfeat.report.page.run_details import details_section
from clipfeat.report.page.section import Section
from clipfeat.report.page.summary import summarise
from clipfeat.report.page.templates import render
from clipfeat.report.page.threshold_table import thresholds_section
from clipfeat.report.plots.by_value import column_of
from clipfeat.report.plots.feature_map import MapPoints, map_points
from clipfeat.report.plots.out_of_fold import OutOfFoldPredictions, best_predictions
from clipfeat.report.plots.plot import Plot, inline
from clipfeat.report.plots.style import plot_style
from clipfeat.system.files import publish
from clipfeat.system.locations import local_path
from clipfeat.system.progress import Phase, Report, silent

if TYPE_CHECKING:
    import pandas as pd

    from clipfeat.auditing.result import Audit

PAGE, PLOTS_FOLDER = "report.html", "plots"


@dataclass(frozen=True, eq=False)
class PageOptions:
    """Content of the page that the run itself does not hold.

    Parameters
    ----------
    features : FeatureSet, optional
        Features for the feature maps.
    audit : Audit, optional
        Audit of the images, such as that of `clipfeat.auditing.run_images.audit_run`.
    robustness : DataFrame, optional
        Table of `clipfeat.prediction.degrading.Robustness.to_pandas`.
    degraded_rates : RateTable, optional
        Rates of `clipfeat.prediction.degrading.Robustness.rates`.
    degradations : mapping of str to str
        Titles of the degradations in `robustness`.
    thumbnails : callable, optional
        Function that takes paths of images and returns thumbnails (JPEG or PNG files) by path.
        Unreadable images are left out.
    """

    features: FeatureSet | None = None
    audit: "Audit | None" = None
    robustness: "pd.DataFrame | None" = None
    degraded_rates: RateTable | None = None
    degradations: Mapping[str, str] = field(default_factory=dict)
    thumbnails: Thumbnails | None = None


def write_page(
    run: Benchmark,
    board: Leaderboard,
    folder: str | Path,
    options: PageOptions = PageOptions(),
    remarks: Sequence[str] = (),
    report: Report = silent,
) -> list[Path]:
    """Write ``report.html``, and each plot as ``.svg`` and ``.png``.

    The page loads nothing from the network. All plots use the out-of-fold probabilities of the run,
    so nothing is fitted or embedded. Plots of an earlier page in the folder are deleted.

    Parameters
    ----------
    run : Benchmark
        The run.
    board : Leaderboard
        Leaderboard of the run. Plots show its six best entries.
    folder : path
        Folder to write to. It is created if it does not exist.
    options : PageOptions
        Further content.
    remarks : sequence of str
        Remarks on the run; see `clipfeat.report.remarks`. The sentences of the audit are shown in
        the section of the audit, and all other remarks below the leaderboard.
    report : callable
        Called with a `Phase` before each plot.

    Returns
    -------
    list of Path
        The files written, the page first.

    Raises
    ------
    StorageError
        If a file cannot be written.
    """
    target = local_path(folder)
    (target / PLOTS_FOLDER).mkdir(parents=True, exist_ok=True)
    for stale in [*(target / PLOTS_FOLDER).glob("*.svg"), *(target / PLOTS_FOLDER).glob("*.png")]:
        stale.unlink()
    report(Phase("drawing"))
    paths, shown = [target / PAGE], []
    drawn: dict[Plot, tuple[str, str]] = {}
    taken: set[str] = set()
    # The points of the maps are computed while the plots of the sections before them are drawn.
    with plot_style(), ThreadPoolExecutor(1) as pool:
        features = options.features
        points = pool.submit(map_points, features) if features is not None else None
        predictions = best_predictions(run, board.entries)
        for section in _sections(run, board, options, remarks, points, predictions):
            shown.append(section)
            for plot in section.plots:
                name = _free_name(plot.name, taken)
                taken.add(name)
                report(Phase("drawing", detail=name))
                svg, png = plot.svg_and_png()
                for suffix, data in ((".svg", svg.encode()), (".png", png)):
                    paths.append(target / PLOTS_FOLDER / f"{name}{suffix}")
                    publish(data, paths[-1])
                drawn[plot] = (f"{PLOTS_FOLDER}/{name}", inline(svg, name))
    summary = summarise(run, board, predictions, options.audit)
    html = render("page.html.j2", about=run.about, summary=summary, sections=shown, drawn=drawn)
    publish(html.encode(), paths[0])
    return paths


def _sections(
    run: Benchmark,
    board: Leaderboard,
    options: PageOptions,
    remarks: Sequence[str],
    points: "Future[MapPoints | None] | None",
    predictions: Mapping[str, OutOfFoldPredictions],
) -> Iterator[Section]:
    """Yield the sections in the order of the page.

    The section with the feature maps waits until the points of the maps are computed.
    """
    in_section = set(options.audit.sentences) if options.audit is not None else set()
    below = [line for line in remarks if line not in in_section]
    caption = _caption(run, board, len(predictions))
    tables = [
        findings_section(options.audit),
        Section("leaderboard", "Leaderboard", [caption], below,
                html=leaderboard_table(board, run.errors)),
        thresholds_section(
            run.rows, board.entries, positive_class(run.classes),
            on_validation=bool(run.about.get("validation")),
        ),
        rates_section(board),
        details_section(run),
    ]  # fmt: skip
    yield from (section for section in tables if section is not None)
    if predictions:
        yield from prediction_sections(predictions, run.classes, no_probabilities(run))
    yield from protocol_sections(run, board, predictions)
    if options.robustness is not None:
        yield robustness_section(options.robustness, options.degradations)
    if options.degraded_rates is not None:
        yield degraded_rates_section(options.degraded_rates)
    if options.features is not None and points is not None:
        yield map_section(options.features, points.result(), column_of(run))
    for entry, one in [*predictions.items()][:1]:
        yield errors_section(run, entry, one, options.thumbnails)


def _caption(run: Benchmark, board: Leaderboard, n_drawn: int) -> str:
    positive = positive_class(run.classes)
    caption = "" if positive is None else f"The positive class is {positive}. "
    caption += (
        f"Mean over {board.averaged_over}. The best value of each metric is bold. Entries are "
        f"ordered by {METRICS[board.metric].title}, best first."
    )
    caption = " ".join([caption, *board.notes])
    if n_drawn < len(board.entries):
        caption += f" Plots show the {n_drawn} best of {len(board.entries)} entries."
    return caption


def _free_name(name: str, taken: Collection[str]) -> str:
    """Return a file name that is not taken: the name itself, or the name with a number."""
    return next(n for i in count(1) if (n := name + f"-{i}" * (i > 1)) not in taken)
