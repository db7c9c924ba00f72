"""``clipfeat encoders``."""

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import reports_errors


@reports_errors
def encoders(pattern: options.NamePattern = "") -> None:
    """List the encoders.

    The list starts with aliases, which are short names such as clip-vit-b-32. For each alias, the
    list shows the number of parameters in millions and the licence of the weights. The list also
    contains the models of open_clip and timm with pretrained weights, and the encoders of installed
    plug-ins. The encoder named spectrum computes the power spectrum of an image, without weights.
    Encoders in local ONNX files, named onnx:FILE, are not listed. Encoders marked "no download"
    work without the Hugging Face hub. Before you use weights, read their licence.

    Example: clipfeat encoders 'timm:*efficientnet_b4*'
    """
    from clipfeat.encoders import ENCODER_ALIASES, list_encoders
    from clipfeat.errors import UnknownNameError

    names = list_encoders(pattern)
    if not names:
        raise UnknownNameError(
            f"no encoder matches {pattern!r}. Run `clipfeat encoders` to list all names."
        )
    width = max(len(f"{short} = {row.name}") for short, row in ENCODER_ALIASES.items())
    for name in names:
        row = ENCODER_ALIASES.get(name.partition(" = ")[0])
        if row is None:
            print(name)
        else:
            licence = row.licence or "see model card"
            size = f"{row.parameters:,} M"
            print(f"{name:<{width}}  {size:>8}  {licence:<14}  {row.note}".rstrip())
