"""``clipfeat app``. The module is not named ``app`` because `clipfeat.cli.app` is the Typer app."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clipfeat.cli import option_types as options
from clipfeat.cli import web_options as web
from clipfeat.cli.exits import print_error_line, print_line, reports_errors
from clipfeat.errors import ClipfeatError

if TYPE_CHECKING:
    from clipfeat.features import FeatureSet


@reports_errors
def browse(
    features: options.FeatureFiles = None,
    *,
    run: options.BrowsedRun = None,
    labels: options.LabelTablesOfApp = None,
    images: options.BrowsedImages = None,
    label_file: options.LabelFile = None,
    annotator: options.Annotator = "",
    host: web.Host = "127.0.0.1",
    port: web.Port = 8000,
    token: web.Token = None,
    allow_host: web.AllowedHosts = None,
) -> None:
    """Browse and label the images of a feature file.

    The page shows the images in a grid and on a map of their features. It lists duplicates and
    possible label errors, and searches by image. With --run, it also shows the images that the
    classifiers of a benchmark predicted wrongly. On a second page, images can be
    labelled. It starts with the images that are most useful to label. On the keyboard, 1 to 9
    choose a class. The UMAP map needs clipfeat[umap]. Ctrl-C ends the server.

    Example: clipfeat app out.h5 --run run/
    """
    from clipfeat.cli.feature_files import feature_files
    from clipfeat.cli.label_tables import apply_label_tables
    from clipfeat.store import load
    from clipfeat.web.installed import check_installed

    check_installed("clipfeat app")

    from clipfeat.browsing.application import create_browse_application
    from clipfeat.browsing.opening import open_session
    from clipfeat.labelling.label_log import check_label_file
    from clipfeat.web.access import Access
    from clipfeat.web.running import address_of, bind, token_for
    from clipfeat.web.running import run as serve

    files = feature_files(features or [])
    if label_file is not None:
        check_label_file(label_file)
    with bind(host, port) as listener:
        token = token_for(listener, token)
        data, _ = apply_label_tables(load(*files), labels)
        file = label_file if label_file is not None else _label_file(files, data)
        session = open_session(data, files, run, images or [], label_file=file, annotator=annotator)
        application = create_browse_application(session, Access(token, frozenset(allow_host or ())))
        address = address_of(listener, token)

        def announce() -> None:
            print_line(f"showing {len(session.data):,} images at {address}")
            sys.stdout.flush()  # a program that starts the server may wait for this line

        serve(application, listener, announce)


def _label_file(files: Sequence[Path], features: "FeatureSet") -> Path | None:
    """Return the file of decisions beside a feature file, or None if labels cannot be saved there.

    The reason is printed.
    """
    from clipfeat.labelling.decided_images import check_shared_label_file
    from clipfeat.labelling.label_log import check_label_file, labels_beside

    try:
        file = labels_beside(files[0])
        check_label_file(file)
        check_shared_label_file(file, features, files)
    except ClipfeatError as error:
        print_error_line(f"labelling is switched off: {error}")
        return None
    return file
