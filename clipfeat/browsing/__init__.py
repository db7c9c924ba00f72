"""``clipfeat app``: a browser application over the images of a feature file.

`data` holds the images with their columns, `run_predictions` the out-of-fold predictions of a
benchmark run, `lists` the findings of the audit, and `projection` the maps. A `query` holds the
filters and the order, and `selecting` finds its rows. `session` caches the results of a running
application. Only `pages` and `application` import FastAPI.
"""
