"""Tests of the section with the details of the run."""

from dataclasses import replace

from clipfeat.report.page.run_details import details_section
from tests.report.runs import make_run, with_generators


def test_recorded_details_are_listed() -> None:
    """The section lists the command, counts, encoder, fingerprint and versions."""
    run = make_run(
        with_generators(30),
        command="clipfeat benchmark a.h5",
        versions={"numpy": "2.0"},
        unlabelled=7,
    )
    section = details_section(run)
    assert section.listing is not None and section.table is not None
    assert section.code == "clipfeat benchmark a.h5"
    assert section.listing["images"] == "60, and 7 without a label"
    assert section.listing["images per class"] == "30 real, 30 fake"
    assert run.specs[0].fingerprint in section.listing["encoder"]
    assert section.table.rows == [["numpy", "2.0"]]


def test_missing_details_are_omitted() -> None:
    """A run without metadata still has the section."""
    section = details_section(replace(make_run(with_generators(30)), about={}))
    assert section.listing is not None
    assert list(section.listing) == ["images", "entries", "encoder"]
    assert section.code == "" and section.table is None
