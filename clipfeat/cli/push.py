"""``clipfeat push``."""

from pathlib import Path
from typing import Annotated

import typer

from clipfeat.cli.exits import reports_errors


@reports_errors
def push(
    model: Annotated[Path, typer.Argument(help="What `clipfeat fit` wrote.")],
    repository: Annotated[str, typer.Argument(metavar="USER/NAME", help="On the hub.")],
    private: Annotated[bool, typer.Option("--private", help="For nobody else.")] = False,
) -> None:
    """Upload a model file to the Hugging Face hub, with a card that says what it is.

    Example: clipfeat push model.clipfeat me/real-or-generated
    """
    from clipfeat.hub import push as run

    print(run(model, repository, private=private))
