"""What a run waited for is named, and what to change."""

import pytest

from clipfeat.embedding.profile import ADVICE, STAGES, Profile

THREADS = {"read": 2, "decode": 2, "resize": 2}


@pytest.mark.parametrize(
    ("seconds", "bottleneck"),
    [
        ({"decode": 19.0, "encode": 3.0}, "decode"),
        ({"read": 18.0, "decode": 1.0, "encode": 3.0}, "read"),
        ({"decode": 10.0, "encode": 9.5}, "encode"),
        ({"decode": 19.9, "encode": 8.5}, "encode"),
        ({"write": 7.0, "decode": 5.0, "encode": 3.0}, "write"),
    ],
)
def test_the_bottleneck_is_what_the_others_wait_for(
    seconds: dict[str, float], bottleneck: str
) -> None:
    """An encoder that is always busy is the bottleneck, whatever else is busy too."""
    profile = Profile(seconds, THREADS, 10.0, 100, "cuda")
    assert profile.bottleneck == bottleneck
    assert ADVICE[bottleneck] in profile.advice
    assert (profile.idle == "") == (bottleneck == "encode")


def test_a_processor_that_also_decodes_is_never_idle() -> None:
    """Only an accelerator is worth a warning."""
    assert Profile({"decode": 9.0}, THREADS, 10.0, 100, "cpu").idle == ""


def test_every_stage_has_its_advice() -> None:
    """No bottleneck without words."""
    assert set(ADVICE) == set(STAGES)


def test_a_run_that_did_nothing() -> None:
    """Nothing is divided by nothing."""
    profile = Profile({}, {}, 0.0, 0, "none")
    assert profile.busy("encode") == 0.0
    assert profile.rate("encode") == float("inf")
