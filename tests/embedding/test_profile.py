"""Tests of the profile, which names a run's bottleneck and a remedy."""

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
def test_the_bottleneck_is_the_limiting_stage(seconds: dict[str, float], bottleneck: str) -> None:
    """A busy encoder is the bottleneck, even if other stages are also busy."""
    profile = Profile(seconds, THREADS, 10.0, 100, "cuda")
    assert profile.bottleneck == bottleneck
    assert ADVICE[bottleneck] in profile.advice
    assert (profile.idle == "") == (bottleneck == "encode")


@pytest.mark.parametrize("device", ["cpu", "none"])
def test_only_an_accelerator_is_idle(device: str) -> None:
    """There is no warning of an idle CPU, or of a run that encodes nothing."""
    assert Profile({"decode": 9.0}, THREADS, 10.0, 100, device).idle == ""


def test_every_stage_has_advice() -> None:
    """There is advice for each possible bottleneck."""
    assert set(ADVICE) == set(STAGES)


def test_an_empty_run() -> None:
    """A run without images causes no division by zero."""
    profile = Profile({}, {}, 0.0, 0, "none")
    assert profile.busy("encode") == 0.0
    assert profile.rate("encode") == float("inf")
