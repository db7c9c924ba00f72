"""A page that runs a model in the browser, from any static host."""

from clipfeat.exporting.site.write import export_site

__all__ = ["export_site"]
