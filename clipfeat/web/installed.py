"""Check that the libraries of the extra ``app`` are installed."""

from importlib.util import find_spec

from clipfeat.errors import missing_extra

LIBRARIES = {
    "fastapi": "FastAPI",
    "uvicorn": "uvicorn",
    "python_multipart": "python-multipart",
    "prometheus_client": "prometheus-client",
}
"""Names of the libraries, by name of the module."""


def check_installed(purpose: str) -> None:
    """Check that a web application can be started.

    Parameters
    ----------
    purpose : str
        Activity that needs the libraries, such as ``"clipfeat serve"``.

    Raises
    ------
    MissingExtraError
        If a library is missing. The message has the command that installs it.
    """
    for module, library in LIBRARIES.items():
        if find_spec(module) is None:
            raise missing_extra(purpose, library, "app")
