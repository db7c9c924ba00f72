"""``clipfeat encoders``."""

from tests.cli.command_line import assert_fails, clipfeat, succeed


def test_names_by_pattern() -> None:
    """A part of a name selects encoders. No match is an error."""
    result = succeed("encoders", "clip-vit-l")
    assert "clip-vit-l-14 = open_clip:ViT-L-14/openai" in result.stdout
    assert_fails(clipfeat("encoders", "no-such-encoder"), 2, "no encoder matches")
