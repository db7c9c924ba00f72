"""The most confident mistakes, with thumbnails."""

import base64
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from clipfeat.evaluate.result import Benchmark
from clipfeat.report.page.section import Picture, Section
from clipfeat.report.plots.out_of_fold import Answers

Thumbnails = Callable[[Sequence[str]], Mapping[str, bytes]]

EACH, TOGETHER, CLASSES = 8, 24, 8
"""Images of a class, of all classes, and classes: those with the most mistakes."""
_TYPES = {b"\xff\xd8\xff": "jpeg", b"\x89PNG\r\n\x1a\n": "png"}


def mistakes_section(
    run: Benchmark, entry: str, answers: Answers, thumbnails: Thumbnails | None
) -> Section:
    """A gallery for each class: what it was mistaken for, the surest first."""
    wrong = np.flatnonzero(answers.called != answers.y)
    sure = answers.p[wrong, answers.called[wrong]]
    ranked = wrong[np.argsort(-sure, kind="stable")]
    _, firsts = np.unique(run.files[answers.row[ranked]], return_index=True)
    ranked = ranked[np.sort(firsts)]  # a file that several trials mistook is shown once
    most = np.argsort(-np.bincount(answers.y[ranked], minlength=len(run.classes)), kind="stable")
    each = min(EACH, TOGETHER // min(len(run.classes), CLASSES))
    shown = {int(code): ranked[answers.y[ranked] == code][:each] for code in most[:CLASSES]}
    shown = {code: of_class for code, of_class in shown.items() if len(of_class)}
    if not shown:
        return Section("mistakes", "Mistakes", [f"{entry} made none."])
    paths = [str(run.files[answers.row[i]]) for of_class in shown.values() for i in of_class]
    small = dict(thumbnails(paths)) if thumbnails else {}
    gallery = {
        f"{run.classes[code]}, taken for another": [
            _picture(run, answers, i, small) for i in of_class
        ]
        for code, of_class in shown.items()
    }
    without = sum(not _address(small.get(path, b"")) for path in paths)
    says = [
        f"Of {entry}: for each class the images that were called wrong with the highest "
        f"probability. {len(ranked):,} of {len(np.unique(answers.row)):,} images were called wrong."
    ]
    if without:
        says.append(f"{without} are shown by their names alone: the images were not to be read.")
    return Section("mistakes", "The most confident mistakes", says, gallery=gallery)


def _picture(run: Benchmark, a: Answers, i: int, small: Mapping[str, bytes]) -> Picture:
    path = str(run.files[a.row[i]])
    called = a.called[i]
    said = f"{run.classes[a.y[i]]} → {run.classes[called]}, {a.p[i, called]:.3f}"
    return Picture(path, said, _address(small.get(path, b"")))


def _address(data: bytes) -> str:
    """A ``data:`` address; empty for what is no JPEG or PNG."""
    for magic, kind in _TYPES.items():
        if data.startswith(magic):
            return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return ""
