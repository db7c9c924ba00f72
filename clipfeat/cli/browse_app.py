"""``clipfeat app``. The name `clipfeat.cli.app` belongs to the command line itself."""

import sys

from clipfeat.cli import option_types as options
from clipfeat.cli import web_options as web
from clipfeat.cli.exits import print_line, reports_errors


@reports_errors
def browse(
    features: options.FeatureFiles = None,
    *,
    run: options.BrowsedRun = None,
    labels: options.LabelTables = None,
    images: options.BrowsedImages = None,
    host: web.Host = "127.0.0.1",
    port: web.Port = 8000,
    token: web.Token = None,
    allow_host: web.AllowedHosts = None,
) -> None:
    """Browse the images of a feature file in the web browser.

    The page shows the images in a grid and on a map of their features. It lists duplicates and
    possible label errors, and searches by image. With --run, it also shows the errors of the
    classifiers of a benchmark. The map by UMAP needs clipfeat[umap]. Ctrl-C ends the server.

    Example: clipfeat app out.h5 --run run/
    """
    from clipfeat.cli.feature_files import feature_files
    from clipfeat.cli.label_tables import apply_label_tables
    from clipfeat.store import load
    from clipfeat.web.installed import check_installed

    check_installed("clipfeat app")

    from clipfeat.browsing.application import create_browse_application
    from clipfeat.browsing.opening import open_session
    from clipfeat.web.access import Access
    from clipfeat.web.running import address_of, bind, token_for
    from clipfeat.web.running import run as serve

    files = feature_files(features or [])
    with bind(host, port) as listener:
        token = token_for(listener, token)
        data, _ = apply_label_tables(load(*files), labels)
        session = open_session(data, files, run, images or [])
        application = create_browse_application(session, Access(token, frozenset(allow_host or ())))
        address = address_of(listener, token)

        def announce() -> None:
            print_line(f"showing {len(session.data):,} images at {address}")
            sys.stdout.flush()  # a program that starts the server may wait for this line

        serve(application, listener, announce)
