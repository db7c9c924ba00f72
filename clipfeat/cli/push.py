"""``clipfeat push``."""

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import print_line, reports_errors


@reports_errors
def push(
    model: options.ModelFile,
    repository: options.Repository,
    private: options.Private = False,
    progress: options.ShowProgress = True,
) -> None:
    """Upload a model file to the Hugging Face hub.

    The command generates a model card from the model file, uploads both files, and prints the
    address of the repository.

    Example: clipfeat push model.clipfeat me/real-or-generated
    """
    from clipfeat.hub import push as run

    print_line(run(model, repository, private=private, progress=progress))
