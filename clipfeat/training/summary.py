"""Summary of a training run, for the terminal and for ``summary.md``."""

import shlex
from collections.abc import Sequence

import numpy as np

from clipfeat.evaluate.intervals import share_interval
from clipfeat.evaluate.metrics import METRICS
from clipfeat.features.label_text import count_texts
from clipfeat.report import remarks
from clipfeat.report.abstention import abstention_remarks
from clipfeat.report.markdown import leaderboard_markdown, rates_markdown
from clipfeat.report.page.write import PAGE
from clipfeat.system.escaping import markdown_text
from clipfeat.system.progress import seconds_text
from clipfeat.training.result import AUDIT, BENCHMARK, MODEL, PREDICTIONS, Training


def results(training: Training) -> list[str]:
    """Describe the results of a run: its data, the chosen model, its scores and the test scores."""
    about, board, entry = training.benchmark.about, training.board, training.entry
    title = METRICS[board.metric].title
    standing = board.standings.get(entry)
    interval = remark = ""
    if standing is not None and not np.isnan(standing.low):
        interval = f" (95 % interval {standing.low:.3f} to {standing.high:.3f})"
        remark = " The interval accounts for the choice among all entries."
    classes = ", ".join(count_texts(about["per_class"]))
    grouped = f", {about['groups']} groups, each in one fold" if about["grouped"] else ""
    lines = [
        f"Data: {about['images']} training rows ({classes}){grouped}.",
        f"Model: {entry}, which has the best {title} in the cross-validation of the training "
        f"images ({about['protocol']}): {board.mean[entry][board.metric]:.3f}{interval}.{remark}",
    ]
    if "view" in training.benchmark.columns:
        lines.append(
            "The views of an image are only trained on. All scores are those of the images "
            "themselves."
        )
    tied = [name for name, one in board.standings.items() if one.tied and name != entry]
    if tied:
        lines.append(f"No difference from {entry} was found for {', '.join(tied)}.")
    lines += abstention_remarks(training.model)
    lines += _test_lines(training)
    lines += [
        f"Features: {one.n_rows} rows of {one.spec.title}, {one.progress.failed} failed."
        for one in training.features
    ]
    if training.reused:
        parts = "; ".join(f"{part}: {text}" for part, text in training.reused.items())
        lines.append(f"Reused from an earlier call: {parts}.")
    seconds: dict[str, float] = {}
    for phase, value in training.seconds.items():
        part = phase.partition(",")[0]  # the features of one encoder have several phases
        seconds[part] = seconds.get(part, 0.0) + value
    return [*lines, f"Time: {seconds_text(seconds)}."]


def findings(training: Training) -> list[str]:
    """List the findings of the audit and the remarks on the benchmark."""
    audit_findings = [] if training.audit is None else training.audit.findings
    audited = [f"{one.severity.upper()}: {one.sentence}" for one in audit_findings]
    return audited + remarks(training.benchmark, training.board)


def next_steps(training: Training) -> list[str]:
    """List the recommended next steps, with commands."""
    folder, audit = training.folder, training.audit
    model = shlex.quote(str(folder / MODEL))
    steps = []
    if audit is not None and audit.has_leak:
        steps.append(
            f"Correct the leaks that {folder / AUDIT / 'files.csv'} lists. They can make the "
            "scores too high."
        )
    failed = sum(one.progress.failed for one in training.features[:1])
    if training.test is not None and not training.test_name:
        failed -= len(training.test.errors)  # images of an official test set
    if failed > 0:
        steps.append(f"Repair or remove {failed} unreadable images. They are not trained on.")
    steps += [
        f"Look at the errors and the curves: {folder / BENCHMARK / PAGE}",
        f"Classify new images: clipfeat predict {model} NEW_IMAGES/ -o predictions.csv",
        f"Score degraded images: clipfeat robustness {model} LABELLED_IMAGES/",
    ]
    if "generator" in training.benchmark.columns:
        paths = " ".join(shlex.quote(str(one.path)) for one in training.features)
        steps.append(
            "Score generators that the model has not seen: clipfeat benchmark "
            f"{paths} --clf {','.join(training.recipe.classifiers)} --leave-one-out generator "
            f"-o {shlex.quote(str(folder / 'unseen'))}"
        )
    if training.test is None:
        steps.append("Score images from another origin: repeat the command with --test IMAGES/")
    return steps


def files(training: Training) -> dict[str, str]:
    """Map each part of a run to its file."""
    folder = training.folder
    parts = {
        "model": folder / MODEL,
        "report": folder / BENCHMARK / PAGE,
        "leaderboard": folder / BENCHMARK / "leaderboard.md",
    }
    if training.audit is not None:
        parts["audit"] = folder / AUDIT / "findings.csv"
    if training.test is not None:
        parts["predictions"] = folder / PREDICTIONS
    named = {name: str(path) for name, path in parts.items()}
    return named | {"features": ", ".join(str(one.path) for one in training.features)}


def summary_markdown(training: Training) -> str:
    """Write the whole summary as Markdown."""
    recipe, board = training.recipe, training.board
    text = f"# Training run: {markdown_text(recipe.name)}\n\n{markdown_text(recipe.summary)}. "
    text += f"Source: {markdown_text(recipe.source)}.\n\n{_listed(results(training))}"
    text += f"\n## Leaderboard\n\n{leaderboard_markdown(board)}"
    text += "".join(f"\n{markdown_text(note)}\n" for note in board.notes)
    if board.rates is not None:
        text += f"\n{rates_markdown(board.rates, training.entry)}"
    text += f"\n## Findings\n\n{_listed(findings(training)) or 'None.'}"
    text += f"\n## Next\n\n{_listed(next_steps(training))}"
    of_files = [f"{name}: {path}" for name, path in files(training).items()]
    return f"{text}\n## Files\n\n{_listed(of_files)}"


def _listed(lines: Sequence[str]) -> str:
    return "".join(f"- {markdown_text(line)}\n" for line in lines)


def _test_lines(training: Training) -> list[str]:
    test = training.test
    if test is None:
        return []
    where = training.test_name or "the official split"
    scores = test.scores()
    lines = []
    if scores:
        rows = test.scored
        right = (np.array(test.predicted)[rows] == np.array(test.labels)[rows]).astype(float)
        share, low, high = share_interval(right, np.array(test.paths)[rows])
        auc = f", ROC AUC {scores['roc_auc']:.3f}" if "roc_auc" in scores else ""
        lines.append(
            f"Test on {test.n_scored} images of {where}, scored after the choice: accuracy "
            f"{share:.3f} (95 % interval {low:.3f} to {high:.3f}), balanced accuracy "
            f"{scores['balanced_accuracy']:.3f}{auc}."
        )
    else:
        lines.append(f"{len(test.paths)} images of {where} were predicted. None has a label.")
    if test.abstention is not None:
        lines.append(f"Unsure: {int(test.unsure.sum())} of {len(test.paths)} test images.")
    if missed := test.missed:
        shares = ", ".join(f"{name} {share:.1%}" for name, share in missed.items())
        lines.append(f"Test images whose prediction set lacks their class: {shares}.")
    if test.n_training:
        lines.append(f"{test.n_training} test images are also training images and were not scored.")
    if test.errors:
        lines.append(f"{len(test.errors)} test images could not be read.")
    return lines
