"""``clipfeat encoders``."""

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import reports_errors


@reports_errors
def encoders(pattern: options.NamePattern = "") -> None:
    """List the encoders.

    The list contains aliases (short names such as clip-vit-b-32), the models of open_clip and timm
    with pretrained weights, the encoders of installed plug-ins, and spectrum, which computes the
    power spectrum of an image and needs no weights.

    Example: clipfeat encoders 'timm:*efficientnet_b4*'
    """
    from clipfeat.encoders import list_encoders
    from clipfeat.errors import UnknownNameError

    names = list_encoders(pattern)
    if not names:
        raise UnknownNameError(
            f"no encoder matches {pattern!r}. Run `clipfeat encoders` to list all names."
        )
    for name in names:
        print(name)
