"""The check of class balance, overall and in each split."""

import numpy as np

from clipfeat.auditing.finding import Finding
from clipfeat.auditing.subject import Subject
from clipfeat.features.label_text import count_texts

IMBALANCE_NOTE = 1.5
IMBALANCE_WARNING = 10.0
"""Ratios of the largest to the smallest class above which a finding is a note or a warning."""
MIN_FILES = 20


def check_balance(subject: Subject) -> list[Finding]:
    """Find classes that are rare, imbalanced or missing from a split, and files without a label."""
    features = subject.features
    labels = features.labels
    counts = {name: int((labels == name).sum()) for name in features.classes}
    findings = []
    if n := int((labels == "").sum()):
        sentence = f"{n} of {len(labels)} files have no label and are ignored by the checks below"
        severity = "note" if features.classes else "warning"
        findings.append(Finding("class balance", severity, sentence, {"unlabelled": n}))
    if not counts:
        return findings
    listed = ", ".join(count_texts(counts))
    ratio = max(counts.values()) / max(1, min(counts.values()))
    if len(counts) == 1:
        findings.append(Finding("class balance", "warning", f"there is only one class: {listed}"))
    if ratio > IMBALANCE_NOTE:
        sentence = f"classes are imbalanced, {ratio:.3g} to 1: {listed}. Use balanced accuracy and "
        sentence += "--balance to weight classes equally"
        severity = "warning" if ratio > IMBALANCE_WARNING else "note"
        numbers = {"ratio": ratio, **counts}
        findings.append(Finding("class balance", severity, sentence, numbers))
    if rare := [name for name, n in counts.items() if n < MIN_FILES]:
        sentence = f"fewer than {MIN_FILES} files of {', '.join(rare)} ({listed}). Scores will "
        sentence += "have a high variance"
        findings.append(Finding("class balance", "warning", sentence, counts))
    for split in np.unique(subject.split[subject.split != ""]).tolist():
        present = set(labels[subject.split == split].tolist()) - {""}
        if present and (missing := [name for name in features.classes if name not in present]):
            sentence = f"the split {split!r} has no files of {', '.join(missing)}"
            findings.append(Finding("class balance", "warning", sentence))
    return findings
