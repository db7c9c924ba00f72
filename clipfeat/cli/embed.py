"""``clipfeat embed``."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import exit_on_failures, explains_resuming, print_line, reports_errors
from clipfeat.cli.option_groups import expands, source_options
from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.encoders import DEFAULT_ENCODER
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.errors import DataError, UsageError

if TYPE_CHECKING:
    from clipfeat.embedding.embed_report import EmbedReport
    from clipfeat.images.source_options import SourceOptions


@reports_errors
@expands("resources", EmbedResources, options.EMBED_RESOURCES)
@expands("inputs", source_options, options.SOURCE_OPTIONS)
@expands("encoder_options", EncoderOptions, options.ENCODER_OPTIONS)
def embed(
    source: options.EmbeddedSources = None,
    out: options.OutputFeatures = None,
    *,
    encoder: options.EncoderName = DEFAULT_ENCODER,
    encoder_options: EncoderOptions,
    image_size: str | None = None,
    encoder_arg: list[str] | None = None,
    inputs: "SourceOptions",
    resources: EmbedResources,
    overwrite: options.Overwrite = False,
    retry_failed: options.RetryFailed = False,
    prune: options.Prune = False,
    dry_run: options.DryRun = False,
    profile: options.ShowProfile = False,
    progress: options.ShowProgress = True,
    max_bad: options.MaxBad = None,
) -> None:
    """Encode images into a feature file.

    If the command is repeated, only new and changed images are encoded. Labels are taken from
    folder names: images/cat/1.jpg has the label cat. The layouts of data sets of generated images,
    such as ForenSynths and GenImage, are recognised. The command prints the recognised
    classes, generators and splits before it encodes the images.

    Example: clipfeat embed images/ out.h5 --encoder clip-vit-l-14
    """
    from clipfeat.cli.console import print_overview
    from clipfeat.cli.parsing import parse_arguments, split_paths
    from clipfeat.images.overview import overview_of
    from clipfeat.images.source_options import open_inputs

    sources, target = split_paths(source or [], out, dry_run=dry_run)
    if target is None:
        print_overview(overview_of(open_inputs(sources, inputs)))
        return
    from clipfeat.embedding.pipeline import embed as run
    from clipfeat.embedding.pipeline import sized_paths
    from clipfeat.store.target import check_target
    from clipfeat.system.progress import Phase, PhaseClock, reporting

    if profile and resources.engine == "ray":
        raise UsageError("--profile cannot measure a Ray cluster (--engine ray). Omit --profile.")
    encoder_options = replace(encoder_options, arguments=parse_arguments(encoder_arg or []))
    failed = 0
    targets = sized_paths(target, image_size)
    for path in targets.values():
        check_target(path)
    with reporting(progress) as report_phase:
        clock = PhaseClock(report_phase)
        clock(Phase("listing"))
        images = open_inputs(sources, inputs)
    listing = clock.stop()
    print_overview(overview_of(images))
    for size, path in targets.items():
        hint = f"Committed rows are kept beside {path}. Repeat the same command to resume."
        with explains_resuming(hint):
            report = run(
                images,
                path,
                encoder=encoder,
                options=replace(encoder_options, image_size=size),
                inputs=inputs,
                overwrite=overwrite,
                retry_failed=retry_failed,
                prune=prune,
                resources=resources,
                progress=progress,
            )
        _print_report(report, listing, show_profile=profile)
        if report.cause:
            raise DataError(f"no image could be encoded. {report.cause}")
        failed += report.progress.failed
    exit_on_failures(failed, max_bad)


def _print_report(
    report: "EmbedReport", listing: Mapping[str, float], *, show_profile: bool
) -> None:
    """Print the counts, the failures and the times of a run."""
    from clipfeat.cli.console import counted, label_counts, print_list, print_profile
    from clipfeat.images.skipping import skipped_text
    from clipfeat.system.progress import seconds_text

    counts = report.progress
    seconds = {**report.seconds, **listing}
    rate = ""
    if counts.encoded:
        per_second = counts.encoded / max(seconds["encoding"], 1e-9)
        rate = f"{per_second:,.1f} images/s while encoding, "
    print_line(
        f"{report.path}: {counted(report.n_rows, 'row')} of {report.spec.n_features} features by "
        f"{report.spec.title}"
    )
    print_line(
        f"{counted(counts.encoded, 'image')} encoded in {seconds_text(seconds)}, "
        f"{rate}{counts.known} already encoded or identical to another image, "
        f"{counts.failed} failed"
    )
    if report.skipped:
        print_line(skipped_text(report.skipped))
    if report.faceless:
        images = counted(report.faceless, "encoded image")
        print_line(f"{images} had no face, so the whole image was encoded (column face: none)")
    if report.chosen:
        print_line(f"precision: {report.chosen}")
    if show_profile:
        print_profile(report.profile)
    if report.is_root_chosen:
        print_line(f"paths are relative to {report.root}")
    print_line(f"labels: {label_counts(report.labels)}")
    if report.absent:
        rows = counted(report.absent, "row")
        print_line(
            f"kept {rows} of images that are no longer in the source. Use --prune to delete them."
        )
    if report.failures:
        print_line("failed images, recorded in the file:")
        print_list([f"{f.path}: {f.reason}: {f.message}" for f in report.failures])
    if any(report.labels) and report.n_rows:
        print_line(
            f"next: clipfeat benchmark {report.path}, or clipfeat fit {report.path} --clf logreg"
        )
