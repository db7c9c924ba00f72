"""What was run, and on what."""

from dataclasses import replace

from clipfeat.report.page.run_details import setting_section
from tests.report.runs import make_run, with_generators


def test_what_was_recorded_is_told() -> None:
    """Command, counts, encoder with its fingerprint, versions."""
    run = make_run(
        with_generators(30),
        command="clipfeat benchmark a.h5",
        versions={"numpy": "2.0"},
        unlabelled=7,
    )
    section = setting_section(run)
    assert section.listing is not None and section.table is not None
    assert section.code == "clipfeat benchmark a.h5"
    assert section.listing["images"] == "60, and 7 without a label"
    assert section.listing["of each class"] == "real 30, fake 30"
    assert run.specs[0].fingerprint in section.listing["encoder"]
    assert section.table.rows == [["numpy", "2.0"]]


def test_what_was_not_recorded_is_left_out() -> None:
    """A run that says nothing of itself has a page too."""
    section = setting_section(replace(make_run(with_generators(30)), about={}))
    assert section.listing is not None
    assert list(section.listing) == ["images", "entries", "encoder"]
    assert section.code == "" and section.table is None
