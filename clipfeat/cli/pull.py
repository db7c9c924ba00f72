"""``clipfeat pull``."""

from typing import Annotated

import typer

from clipfeat.cli.exits import reports_errors


@reports_errors
def pull(
    repository: Annotated[str, typer.Argument(metavar="USER/NAME", help="On the hub.")],
    revision: Annotated[str | None, typer.Option(help="A branch, a tag or a commit.")] = None,
) -> None:
    """Download a model file from the Hugging Face hub, and print where it is.

    Example: clipfeat pull me/real-or-generated
    """
    from clipfeat.hub import pull as run

    print(run(repository, revision=revision))
