"""Shared parts of clipfeat's web applications: security, static files, page layout and server.

`clipfeat.web.application.create_application` makes an application, and `clipfeat.web.running.run`
starts it. The package of an application, such as ``clipfeat.serving``, adds three things:

- Routes: ``application.include_router(router)`` adds the routes of a `fastapi.APIRouter`.
- Templates, which extend ``base.html.j2``: `clipfeat.web.pages.page_templates` finds them in a
  folder of the package, and `clipfeat.web.pages.render_page` renders them with escaped values.
- Static files: ``add_static(application, "serving", "clipfeat.serving")`` serves the folder
  ``static`` of the package at ``/static/serving/``.

The content security policy allows scripts, styles and requests of this server only. Inline scripts,
``style`` attributes and event handler attributes do not work. Scripts may set ``element.style``.
"""
