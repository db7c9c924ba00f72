"""Export of a model's estimator for scikit-learn, in the format of skops.

A skops file contains objects and the names of their types. Before skops builds the objects, it
lists the types that it does not trust. However, the types that skops trusts by default can also be
combined into code. Load a skops file only if you trust its author.
"""

import warnings
from pathlib import Path

from clipfeat.errors import ClipfeatWarning, OutputExistsError, UsageError, missing_extra
from clipfeat.model.model_file import load_model
from clipfeat.system.files import is_taken, publish
from clipfeat.system.locations import local_path

SUFFIX = ".skops"


def export_estimator(model: str | Path, out: str | Path, *, overwrite: bool = False) -> Path:
    """Write the fitted estimator of a model file in the format of skops.

    The estimator predicts indices into the classes of the model, from 0.

    Parameters
    ----------
    model : path
        The model file.
    out : path
        The new file, ending in ``.skops``.
    overwrite : bool
        Replace an existing file.

    Returns
    -------
    Path
        Path of the written file. ``skops.io.load`` reads it. Its argument ``trusted`` must contain
        the types of clipfeat that ``skops.io.get_untrusted_types`` lists.

    Raises
    ------
    MissingExtraError
        If skops is not installed.
    UsageError
        If `out` has another suffix.
    OutputExistsError
        If the file exists and `overwrite` is false.
    RefusedFileError
        If the model file is damaged, or is not a model file.

    Warns
    -----
    ClipfeatWarning
        If the model has an adaptation, a threshold or an abstention, because the exported estimator
        contains none of them.
    """
    target = local_path(out)
    if target.suffix.lower() != SUFFIX:
        raise UsageError(
            f"a model is exported to a {SUFFIX} file, got {target}. Use -o model{SUFFIX}"
        )
    if is_taken(target) and not overwrite:
        raise OutputExistsError(f"{target} exists. Choose another path, or pass --overwrite")
    try:
        import skops.io
    except ImportError as error:
        raise missing_extra("exporting a model", "skops", "skops") from error
    fitted = load_model(model)
    left_out = [] if fitted.adaptation is None else ["the adaptation"]
    if fitted.threshold is not None:
        left_out.append(f"the threshold {fitted.threshold:.4g}")
    if fitted.abstention is not None:
        left_out.append(f"the abstention at level {fitted.abstention.level:g}")
    if left_out:
        warnings.warn(
            f"{target} holds only the estimator of {model}, without {', '.join(left_out)}",
            ClipfeatWarning,
            stacklevel=2,
        )
    publish(skops.io.dumps(fitted.estimator), target)
    return target
