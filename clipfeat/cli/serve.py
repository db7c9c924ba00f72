"""``clipfeat serve``."""

import typer

from clipfeat.cli import option_types as options
from clipfeat.cli import web_options as web
from clipfeat.cli.exits import print_error_line, print_line, reports_errors
from clipfeat.cli.option_groups import expands
from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.serving.limits import ServingLimits


@reports_errors
@expands("resources", EmbedResources, options.LOCAL_EMBED_RESOURCES)
@expands("limits", ServingLimits, web.SERVING_LIMITS)
def serve(
    model: options.ModelFile,
    *,
    features: web.TrainingFeaturesOfServer = None,
    images: web.TrainingImageFolder = None,
    weights: options.WeightsFiles = None,
    face_weights: options.FaceWeightsOfModel = None,
    host: web.Host = "127.0.0.1",
    port: web.Port = 8000,
    token: web.Token = None,
    allow_host: web.AllowedHosts = None,
    allow_remote: web.AllowDownloads = False,
    limits: ServingLimits,
    keep: web.KeepFolder = None,
    resources: EmbedResources,
    device: options.Device = "auto",
) -> None:
    """Serve the predictions of a model as a web page and an API.

    The address is printed when the server is ready. POST /predict takes images and returns JSON or
    CSV, and /docs describes the API. Ctrl-C answers the requests in progress and ends the server.
    A second Ctrl-C ends it without answering them.

    Example: clipfeat serve model.clipfeat
    """
    from clipfeat.model import load_model
    from clipfeat.web.installed import check_installed

    check_installed("clipfeat serve")

    from clipfeat.serving.app import create_app
    from clipfeat.serving.opening import open_serving
    from clipfeat.serving.training_images import TrainingImages
    from clipfeat.web.running import address_of, bind, run, token_for

    with bind(host, port) as listener:
        token = token_for(listener, token)
        fitted = load_model(model)
        training = TrainingImages.open(fitted, features, images) if features else None
        with open_serving(
            fitted,
            limits,
            weights=weights or [],
            face_weights=face_weights,
            device=device,
            resources=resources,
            training=training,
            allow_remote=allow_remote,
            keep=keep,
        ) as serving:
            application = create_app(serving, token=token, hosts=frozenset(allow_host or ()))
            address = address_of(listener, token)
            n_unanswered = run(
                application,
                listener,
                lambda: print_line(f"serving {model} at {address}"),
                drain_seconds=3 * limits.timeout,  # receiving, downloading and predicting
            )
    if n_unanswered:
        print_error_line(
            f"stopped. {n_unanswered} requests took longer than {3 * limits.timeout:g} s and were "
            "not answered. Pass a larger --timeout"
        )
        raise typer.Exit(1)
    print_error_line("stopped. All requests were answered")
