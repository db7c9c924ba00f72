"""Class balance: how many files of each class there are, in each split."""

import numpy as np

from clipfeat.auditing.finding import Finding
from clipfeat.auditing.subject import Subject

UNEVEN = 1.5
VERY_UNEVEN = 10.0
FEW = 20


def check_balance(subject: Subject) -> list[Finding]:
    """Classes that are rare, uneven, or absent from a split; files without a label."""
    features = subject.features
    labels = features.labels
    counts = {name: int((labels == name).sum()) for name in features.classes}
    found = []
    if n := int((labels == "").sum()):
        sentence = f"{n} of {len(labels)} files have no label and take no part in what follows"
        severity = "note" if features.classes else "warning"
        found.append(Finding("class balance", severity, sentence, {"unlabelled": n}))
    if not counts:
        return found
    said = ", ".join(f"{name} {n}" for name, n in counts.items())
    ratio = max(counts.values()) / max(1, min(counts.values()))
    if len(counts) == 1:
        found.append(Finding("class balance", "warning", f"there is one class only: {said}"))
    if ratio > UNEVEN:
        sentence = f"classes are uneven, {ratio:.3g} to 1: {said}; balanced accuracy and --balance"
        sentence += " count them alike"
        severity = "warning" if ratio > VERY_UNEVEN else "note"
        found.append(Finding("class balance", severity, sentence, {"ratio": ratio, **counts}))
    if few := [name for name, n in counts.items() if n < FEW]:
        sentence = f"fewer than {FEW} files of {', '.join(few)} ({said}): scores will vary much"
        found.append(Finding("class balance", "warning", sentence, counts))
    for split in np.unique(subject.split[subject.split != ""]).tolist():
        inside = set(labels[subject.split == split].tolist()) - {""}
        if inside and (absent := [name for name in features.classes if name not in inside]):
            sentence = f"the split {split!r} holds no {', '.join(absent)}"
            found.append(Finding("class balance", "warning", sentence))
    return found
