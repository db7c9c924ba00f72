"""What the web applications of clipfeat share: safety, static files, the look and the server.

An application is made by `clipfeat.web.application.create_application` and started by
`clipfeat.web.running.run`. The package of an application, such as ``clipfeat.serving``, adds its
part in three steps:

- Routes are those of a plain `fastapi.APIRouter`: ``application.include_router(router)``.
- Templates extend ``base.html.j2``. `clipfeat.web.pages.page_templates` finds them in a folder of
  the package, and `clipfeat.web.pages.render_page` renders them with escaped values.
- Static files: ``add_static(application, "serving", "clipfeat.serving")`` serves the folder
  ``static`` of the package at ``/static/serving/``.

The content security policy allows scripts, styles and requests of this server only. Inline scripts,
``style`` attributes and event handler attributes do not work. Scripts may set ``element.style``.
"""
