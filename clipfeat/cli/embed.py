"""``clipfeat embed``."""

from typing import TYPE_CHECKING

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import exit_on_failures, explains_resuming, reports_errors
from clipfeat.encoders import DEFAULT_ENCODER
from clipfeat.errors import UsageError

if TYPE_CHECKING:
    from clipfeat.embedding.pipeline import EmbedReport


@reports_errors
def embed(
    source: options.Sources,
    out: options.OutputFeatures,
    encoder: options.EncoderName = DEFAULT_ENCODER,
    weights: options.WeightsFile = None,
    untrained: options.Untrained = False,
    layers: options.Layers = None,
    pool: options.Pool = None,
    image_size: options.ImageSizes = None,
    crop: options.Crop = None,
    views: options.Views = None,
    faces: options.Faces = None,
    face_margin: options.FaceMargin = 0.3,
    face_weights: options.FaceWeights = None,
    no_face: options.NoFace = "skip",
    fps: options.FramesPerSecond = None,
    frames: options.FrameCount = None,
    encoder_arg: options.EncoderArguments = None,
    labels: options.LabelTable = None,
    path_col: options.PathColumn = "",
    label_col: options.LabelColumn = "",
    group_col: options.GroupColumnOfTable = "",
    batch_size: options.BatchSize = None,
    num_workers: options.DecodeWorkers = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    overwrite: options.Overwrite = False,
    retry_failed: options.RetryFailed = False,
    prune: options.Prune = False,
    profile: options.ShowProfile = False,
    engine: options.Engine = "local",
    address: options.Address = None,
    max_bad: options.MaxBad = None,
) -> None:
    """Encode images into a feature file.

    If the command is repeated, only new and changed images are encoded. Labels are taken from
    folder names: images/cat/1.jpg has the label cat. Folders named real and fake, 0_real and
    1_fake, or nature and ai are recognised at any depth.

    Example: clipfeat embed images/ out.h5 --encoder clip-vit-l-14
    """
    from clipfeat.cli.console import image_bar
    from clipfeat.cli.parsing import parse_arguments
    from clipfeat.embedding.embed_resources import EmbedResources
    from clipfeat.embedding.pipeline import embed as run
    from clipfeat.embedding.pipeline import sized_paths
    from clipfeat.encoders.encoder_options import EncoderOptions
    from clipfeat.images.faces import open_finder
    from clipfeat.images.manifest import TableColumns
    from clipfeat.images.source_options import SourceOptions
    from clipfeat.images.video.frames import FrameSampling

    if profile and engine == "ray":
        raise UsageError("--profile cannot measure a Ray cluster. Omit --profile or --engine ray.")
    finder = None
    if faces is not None:
        finder = open_finder(
            faces, face_margin, str(face_weights) if face_weights else None, no_face
        )
    failed = 0
    for size, path in sized_paths(out, image_size).items():
        hint = f"Committed rows are kept beside {path}. Repeat the same command to resume."
        with explains_resuming(hint), image_bar("embedding") as progress:
            report = run(
                source,
                path,
                encoder=encoder,
                options=EncoderOptions(
                    weights=weights,
                    untrained=untrained,
                    layers=layers,
                    pool=pool,
                    image_size=size,
                    crop=crop,
                    precision=precision,
                    device=device,
                    arguments=parse_arguments(encoder_arg or []),
                ),
                inputs=SourceOptions(
                    labels=labels,
                    columns=TableColumns(path_col, label_col, group_col),
                    frames=FrameSampling(fps, frames),
                    views=views,
                    faces=finder,
                ),
                overwrite=overwrite,
                retry_failed=retry_failed,
                prune=prune,
                resources=EmbedResources(batch_size, num_workers, engine, address),
                progress=progress,
            )
        _print_report(report, show_profile=profile)
        failed += report.progress.failed
    exit_on_failures(failed, max_bad)


def _print_report(report: "EmbedReport", *, show_profile: bool) -> None:
    from clipfeat.cli.console import counted, label_counts, print_list, print_profile

    counts = report.progress
    rate = counts.encoded / max(counts.seconds, 1e-9)
    print(
        f"{report.path}: {counted(report.n_rows, 'row')} of {report.spec.n_features} features by "
        f"{report.spec.title}"
    )
    print(
        f"{counted(counts.encoded, 'image')} encoded in {counts.seconds:.1f} s "
        f"({rate:,.1f} images/s), "
        f"{counts.known} already encoded or identical to another image, {counts.failed} failed"
    )
    if report.faceless:
        images = counted(report.faceless, "encoded image")
        print(f"{images} had no face and the whole image was encoded (column face: none)")
    if report.chosen:
        print(f"precision: {report.chosen}")
    if show_profile:
        print_profile(report.profile)
    print(f"labels: {label_counts(report.labels)}")
    if report.absent:
        rows = counted(report.absent, "row")
        print(f"{rows} of images that are no longer in the source. Use --prune to delete them.")
    if report.failures:
        print("failed images, recorded in the file:")
        print_list([f"{f.path}: {f.reason}: {f.message}" for f in report.failures])
    if any(report.labels):
        print(f"next: clipfeat benchmark {report.path}, or clipfeat fit {report.path} --clf logreg")
