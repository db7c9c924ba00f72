"""Tests of ``clipfeat encoders``."""

from tests.cli.command_line import assert_fails, clipfeat, succeed


def test_names_by_pattern() -> None:
    """A part of a name selects encoders. A pattern without a match is an error."""
    result = succeed("encoders", "clip-vit-l")
    assert "clip-vit-l-14 = open_clip:ViT-L-14/openai" in result.stdout
    [first, *_] = succeed("encoders").stdout.splitlines()
    assert " ".join(first.split()) == (
        "efficientnet-lite0 = package:efficientnet-lite0 3.4 M apache-2.0 no download"
    )
    for line in succeed("encoders", "dinov3-?-16*").stdout.splitlines():
        assert "dinov3-license" in line
        assert ("weak detector" in line) == ("7b" not in line)
    assert_fails(clipfeat("encoders", "no-such-encoder"), 2, "no encoder matches")
