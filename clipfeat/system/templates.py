"""Jinja environments for the package's templates.

Values are escaped unless a template marks them as safe. Control characters, such as marks that
change the direction of text, are escaped, too.
"""

from typing import TYPE_CHECKING

from clipfeat.system.escaping import terminal_text

if TYPE_CHECKING:
    from jinja2 import Environment


def template_environment(*folders: tuple[str, str]) -> "Environment":
    """Make a Jinja environment that escapes values and rejects undefined names.

    Parameters
    ----------
    *folders : tuple of (package, folder)
        The packages and their folders of templates. A template is read from the first folder that
        contains it.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=ChoiceLoader([PackageLoader(package, folder) for package, folder in folders]),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        finalize=_printable,
    )  # fmt: skip


def _printable(value: object) -> object:
    """Replace control characters by escapes in a value that is not trusted markup."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return terminal_text(value)
    return value
