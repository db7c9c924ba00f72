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

    Print the path of the downloaded file. It is in the user's cache.

    Example: clipfeat pull me/real-or-generated
    """
    from clipfeat.hub import pull as run

    print_line(run(repository, revision=revision, progress=progress))
