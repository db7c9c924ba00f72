"""Types of the options of commands that start a web server. See `clipfeat.cli.option_types`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from clipfeat.cli.panels import INPUT, OUTPUT, SERVER

server_option = partial(typer.Option, rich_help_panel=SERVER)

Host = Annotated[
    str,
    server_option(
        "--host",
        metavar="ADDRESS",
        help="Address on which the server listens. 0.0.0.0 makes it reachable from other machines, "
        "and every request then needs the token (see --token).",
    ),
]
Port = Annotated[
    int,
    server_option("--port", min=0, max=65535, metavar="N", help="Port. 0 chooses a free port."),
]
Token = Annotated[
    str | None,
    server_option(
        "--token",
        envvar="CLIPFEAT_TOKEN",
        metavar="TEXT",
        help="Token that every request must have, as ?token=TEXT or in the header Authorization: "
        "Bearer TEXT. It must have at least 8 characters. By default, a server that other machines "
        "can reach prints a random token, and any other server needs no token.",
    ),
]
AllowedHosts = Annotated[
    list[str] | None,
    server_option(
        "--allow-host",
        metavar="NAME",
        help="Host name under which clients reach the server, for example behind a proxy. Repeat "
        "for several names.",
    ),
]
TrainingFeaturesOfServer = Annotated[
    list[Path] | None,
    typer.Option(
        "--features",
        metavar="FEATURES.h5",
        rich_help_panel=INPUT,
        help="Feature file that the model was fitted on. The page then shows the nearest training "
        "images. By default, it does not show them. Repeat for several encoders.",
    ),
]
TrainingImageFolder = Annotated[
    Path | None,
    typer.Option(
        "--images",
        metavar="FOLDER",
        rich_help_panel=INPUT,
        help="Folder of the training images, for their thumbnails. The default is the folder that "
        "the feature file records, if `clipfeat embed` wrote the file on this computer.",
    ),
]
AllowDownloads = Annotated[
    bool,
    server_option(
        "--allow-remote", help="Let clients send http and https URLs of images on public addresses."
    ),
]
KeepFolder = Annotated[
    Path | None,
    typer.Option(
        "--keep",
        metavar="FOLDER",
        rich_help_panel=OUTPUT,
        help="Folder to save uploaded images in. By default, they are not saved.",
    ),
]
MaxFiles = Annotated[
    int,
    server_option("--max-files", metavar="N", help="Maximum number of images in a request."),
]
MaxFileSize = Annotated[
    int, server_option("--max-file-mb", metavar="N", help="Maximum size of an image file in MiB.")
]
MaxRequestSize = Annotated[
    int, server_option("--max-request-mb", metavar="N", help="Maximum size of a request in MiB.")
]
MaxPixels = Annotated[
    int | None,
    server_option(
        "--max-pixels",
        metavar="N",
        help="Maximum number of pixels of an image. The default, 89,478,485, is the limit of all "
        "commands and cannot be exceeded.",
    ),
]
QueueSize = Annotated[
    int,
    server_option(
        "--queue",
        metavar="N",
        help="Maximum number of images that wait or are processed. Requests that exceed it are "
        "answered with status 429.",
    ),
]
RequestTimeout = Annotated[
    float,
    server_option(
        "--timeout",
        metavar="SECONDS",
        help="Maximum time of each step: receiving a request, downloading an image, predicting.",
    ),
]

SERVING_LIMITS = {
    "max_files": MaxFiles,
    "max_file_mb": MaxFileSize,
    "max_request_mb": MaxRequestSize,
    "max_pixels": MaxPixels,
    "queue": QueueSize,
    "timeout": RequestTimeout,
}
"""Options for the fields of `ServingLimits`."""
