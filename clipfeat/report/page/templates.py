"""Rendering of the page's templates. See `clipfeat.system.templates`."""

from functools import cache
from typing import TYPE_CHECKING

from clipfeat.system.templates import template_environment

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> "Environment":
    """Return the environment of the page's templates."""
    return template_environment(("clipfeat.report.page", "parts"))


def render(template: str, **values: object) -> str:
    """Render a template."""
    return environment().get_template(template).render(**values)
