"""Rendering of the package's templates. Values are escaped unless a template marks them as safe."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> "Environment":
    """Return a Jinja environment that escapes values and rejects undefined names."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("clipfeat.report.page", "parts"), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def render(template: str, **values: object) -> str:
    """Render a template.

    Lone surrogates become question marks, because UTF-8 cannot encode them. They occur in paths
    with undecodable bytes.
    """
    text = environment().get_template(template).render(**values)
    return text.encode("utf-8", "replace").decode("utf-8")
