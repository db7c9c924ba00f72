"""Pages: templates that extend ``base.html.j2``."""

from functools import cache
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse

from clipfeat.system.templates import template_environment

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def page_templates(package: str, folder: str = "templates") -> "Environment":
    """Return the environment of a package's templates, which may extend ``base.html.j2``.

    Parameters
    ----------
    package : str
        Name of the package, such as ``"clipfeat.serving"``.
    folder : str
        Folder of templates in the package.
    """
    return template_environment((package, folder), ("clipfeat.web", "templates"))


def render_page(
    templates: "Environment", template: str, /, *, status: int = 200, **values: object
) -> HTMLResponse:
    """Render a template of a page, or of a part of a page, as a response.

    Parameters
    ----------
    templates : Environment
        The result of `page_templates`.
    template : str
        Name of the template.
    status : int
        Status code of the response.
    **values : object
        Values for the template. They are escaped.
    """
    return HTMLResponse(templates.get_template(template).render(**values), status)
