"""Libraries that clipfeat's extras install, and the check that one of them is installed."""

from importlib.util import find_spec

from clipfeat.errors import missing_extra

LIBRARIES = {
    "faiss": ("faiss", "faiss"),
    "matplotlib": ("Matplotlib", "report"),
    "optuna": ("Optuna", "tune"),
    "pyarrow": ("PyArrow", "parquet"),
    "skimage": ("scikit-image", "demo"),
}
"""The name and the extra of each library, by module."""


def require(module: str, purpose: str, *, extra: str = "") -> None:
    """Check that a library is installed, before long work that needs it.

    Parameters
    ----------
    module : str
        A key of `LIBRARIES`.
    purpose : str
        Activity that needs the library, for example ``"writing Parquet files"``.
    extra : str
        Extra to name in the error. If it is empty, the error names the extra in `LIBRARIES`.

    Raises
    ------
    MissingExtraError
        If the library is not installed. The message names the extra that installs it.

    Examples
    --------
    >>> require("pyarrow", "reading Parquet files")
    """
    if find_spec(module) is None:
        library, usual = LIBRARIES[module]
        raise missing_extra(purpose, library, extra or usual)
