"""``clipfeat pull``."""

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import print_line, reports_errors


@reports_errors
def pull(
    repository: options.Repository,
    revision: options.Revision = None,
    progress: options.ShowProgress = True,
) -> None:
    """Download a model file from the Hugging Face hub.

    The file is downloaded into the user's cache, and its path is printed.

    Example: clipfeat pull me/real-or-generated
    """
    from clipfeat.hub import pull as run

    print_line(run(repository, revision=revision, progress=progress))
