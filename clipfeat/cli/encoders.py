"""``clipfeat encoders``."""

from typing import Annotated

import typer

from clipfeat.cli.exits import reports_errors


@reports_errors
def encoders(
    pattern: Annotated[str, typer.Argument(help="Part of a name, or a pattern with * and ?.")] = "",
) -> None:
    """List encoders whose weights a hub has: aliases, open_clip's, timm's, and spectrum.

    Example: clipfeat encoders 'timm:*efficientnet_b4*'
    """
    from clipfeat.encoders import list_encoders
    from clipfeat.errors import UnknownNameError

    found = list_encoders(pattern)
    if not found:
        raise UnknownNameError(f"no encoder matches {pattern!r}: `clipfeat encoders` lists all")
    for name in found:
        print(name)
