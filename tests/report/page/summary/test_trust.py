"""Tests of the section that says how far to trust the scores."""

from dataclasses import replace

from clipfeat.auditing.finding import Finding
from clipfeat.auditing.result import NO_CHECK, Audit
from clipfeat.report.page.summary.trust import trust
from clipfeat.spec import EncoderSpec
from tests.conftest import make_spec
from tests.report.runs import make_run, with_generators

RUN = make_run(with_generators(30))
BOARD = RUN.leaderboard()


def test_nothing_of_an_audit_is_hidden() -> None:
    """Every finding, passed check and skipped check is listed, the most severe first."""
    findings = [
        Finding("mislabelled", "note", "", {"files": 3.0}),
        Finding("width", "leak", "", {"auc": 0.981}),
        Finding("height", "leak", "", {"auc": 0.9}),
        Finding("class balance", "warning", ""),
    ]
    result = trust(RUN, BOARD, Audit(findings, ["sharpness"], {"EXIF": "no images"}, 30))
    assert (result.level, result.headline) == ("leak", "The scores are not valid.")
    assert [(line.level, line.term, line.text) for line in result.lines[:3]] == [
        ("leak", "2 leaks", "width (AUC 0.98), height (AUC 0.90)"),
        ("warning", "1 warning", "class balance"),
        ("note", "1 note", "mislabelled (3 files)"),
    ]
    texts = {line.term: line.text for line in result.lines}
    assert texts["1 passed"] == "sharpness"
    assert texts[f"{1 + len(NO_CHECK)} not checked"].startswith("EXIF, ")


def test_the_headline_follows_the_worst_line() -> None:
    """Duplicates across folds cause a warning, even without findings of the audit."""
    clean = Audit([], ["width"], {}, 30)
    assert trust(RUN, BOARD, clean).headline == "No leak was found."
    about = {**RUN.about, "near_duplicates": {"searched": 60, "separated": 3}}
    result = trust(replace(RUN, about=about), BOARD, clean)
    assert result.headline == "The scores may not be valid."
    assert result.lines[0].text == "3 of 60 test images (5.0%) have a near duplicate in training"
    assert trust(RUN, BOARD, None).headline == "The images were not audited."


def test_limits_of_the_run_are_listed() -> None:
    """Random weights invalidate the scores. Failures, caveats and small numbers are listed."""
    untrained: EncoderSpec = make_spec(untrained=True)
    run = replace(
        RUN, specs=(untrained,), errors={"mlp": "no"},
        about={**RUN.about, "caveats": ["a caveat"], "positive_by": "default"},
    )  # fmt: skip
    result = trust(run, replace(BOARD, caveats=["few"]), Audit([], [], {}, 30))
    assert result.level == "leak"
    assert [line.term for line in result.lines[:2]] == ["untrained", "1 failed"]
    caveats = [line.text for line in result.lines if line.term == "caveat"]
    assert caveats[:2] == ["a caveat", "few"] and "positive class" in caveats[2]
