"""``clipfeat embed``."""

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipfeat.cli.exits import TOO_MANY_BAD, reports_errors, say
from clipfeat.errors import UsageError

if TYPE_CHECKING:
    from clipfeat.embedding.pipeline import EmbedReport

MOST_LABELS = 12


@reports_errors
def embed(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE… OUT.h5",
            help="A folder, a CSV or Parquet table, webdataset tars ('x-{000..099}.tar'), images, "
            "or - for a list on standard input; last, the feature file.",
        ),
    ],
    encoder: Annotated[
        str, typer.Option("--encoder", "-e", help="See `clipfeat encoders`.")
    ] = "clip-vit-b-32",
    weights: Annotated[
        Path | None, typer.Option(help="A local file of weights, where there is no hub.")
    ] = None,
    untrained: Annotated[
        bool, typer.Option("--untrained", help="Random weights: to try things out.")
    ] = False,
    layers: Annotated[
        str | None, typer.Option(help="all, or some: 3,6,last; CLIP: pre-projection.")
    ] = None,
    pool: Annotated[
        str | None, typer.Option(help="Of layers: cls, mean, std, max; several: mean+std.")
    ] = None,
    image_size: Annotated[
        str | None,
        typer.Option(help="Side of the encoder's input; several (32,64,128) make a file each."),
    ] = None,
    crop: Annotated[
        str | None,
        typer.Option(help="center, resize (all of it); none, tiles: pixels at their own scale."),
    ] = None,
    views: Annotated[
        str | None, typer.Option(help="hflip,jpeg50,… or a YAML, JSON or TOML file: rows more.")
    ] = None,
    faces: Annotated[
        str | None, typer.Option(help="crop (around all), largest, all: a row for each face.")
    ] = None,
    face_margin: Annotated[float, typer.Option(min=0.0, help="Of a face's size.")] = 0.3,
    face_weights: Annotated[
        Path | None, typer.Option(help="YuNet's .onnx file; else a bundled cascade finds faces.")
    ] = None,
    no_face: Annotated[
        str, typer.Option(help="An image without a face: skip, or keep it whole.")
    ] = "skip",
    fps: Annotated[float | None, typer.Option(help="Frames a second of a video.")] = None,
    frames: Annotated[
        int | None, typer.Option(help="Frames of a video, evenly spaced; 8 if not given.")
    ] = None,
    encoder_arg: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE for a timm model: pad_type=same, mean=0.5, crop_pct=1.0."),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="A table that names the classes.")] = None,
    path_col: Annotated[str, typer.Option(help="The table's column of paths.")] = "",
    label_col: Annotated[str, typer.Option(help="The table's column of labels.")] = "",
    group_col: Annotated[str, typer.Option(help="The table's column of groups.")] = "",
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", "-b", min=1, help="Found by trying, if not given."),
    ] = None,
    num_workers: Annotated[
        int | None, typer.Option("--num-workers", "-j", min=1, help="Threads that decode.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda (all), cuda:1, mps.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="fp32, bf16, fp16; auto: the fastest that keeps the features.")
    ] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start anew.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try recorded failures again.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Drop rows of images no longer in the source.")
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Show where the time went, and what to change.")
    ] = False,
    engine: Annotated[
        str, typer.Option(help="local, or ray: on every machine of a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(help="Of the cluster: auto, HOST:6379; else RAY_ADDRESS, or this machine."),
    ] = None,
    max_bad: Annotated[
        int | None, typer.Option(min=0, help="Exit with 3 if more images than this fail.")
    ] = None,
) -> None:
    """Encode images into a feature file; run again, it does only what is new.

    Class folders become labels: `images/cat/1.jpg` is a cat. Folders named real and fake, 0_real
    and 1_fake, or nature and ai are understood at any depth.

    Example: clipfeat embed images/ out.h5 --encoder clip-vit-l-14
    """
    from clipfeat.cli.console import image_bar
    from clipfeat.embedding.pipeline import embed as run
    from clipfeat.embedding.pipeline import sized_paths
    from clipfeat.images.faces import open_finder
    from clipfeat.images.manifest import TableColumns
    from clipfeat.images.video.frames import FrameSampling

    *sources, out = source
    if not sources:
        raise UsageError(f"two paths are needed, SOURCE and OUT.h5, got only {out}")
    if profile and engine == "ray":
        raise UsageError("--profile is of this machine's threads: leave it out with --engine ray")
    finder = None
    if faces is not None:
        finder = open_finder(
            faces, face_margin, str(face_weights) if face_weights else None, no_face
        )
    failed = 0
    for size, path in sized_paths(out, image_size).items():
        with _saying_how_to_go_on(path), image_bar("embedding") as progress:
            report = run(
                sources[0] if len(sources) == 1 else sources,
                path,
                encoder=encoder,
                weights=weights,
                untrained=untrained,
                layers=layers,
                pool=pool,
                image_size=size,
                crop=crop,
                views=views,
                faces=finder,
                frames=FrameSampling(fps, frames),
                encoder_args=parse_arguments(encoder_arg or []),
                labels=labels,
                columns=TableColumns(path_col, label_col, group_col),
                batch_size=batch_size,
                num_workers=num_workers,
                device=device,
                precision=precision,
                overwrite=overwrite,
                retry_failed=retry_failed,
                prune=prune,
                engine=engine,
                address=address,
                progress=progress,
            )
        _print_report(report, show_profile=profile)
        failed += report.progress.failed
    if max_bad is not None and failed > max_bad:
        raise typer.Exit(TOO_MANY_BAD)


def _print_report(report: "EmbedReport", *, show_profile: bool) -> None:
    from clipfeat.cli.console import listed, print_profile

    out = report.path
    done = report.progress
    rate = done.encoded / max(done.seconds, 1e-9)
    print(
        f"{out}: {report.n_rows} rows of {report.spec.n_features} features by {report.spec.title}"
    )
    print(
        f"{done.encoded} images encoded in {done.seconds:.1f} s ({rate:,.1f} images/s), "
        f"{done.known} already there or equal to another, {done.failed} failed"
    )
    if report.faceless:
        print(f"{report.faceless} of them without a face, taken whole (column face: none)")
    if report.chosen:
        print(f"precision {report.chosen}")
    if show_profile:
        print_profile(report.profile)
    known = {name: n for name, n in sorted(report.labels.items()) if name}
    some = [f"{name} {n}" for name, n in list(known.items())[:MOST_LABELS]]
    more = [f"… {len(known)} classes"] if len(known) > MOST_LABELS else []
    print("the source's labels: " + (", ".join([*some, *more]) or "none"))
    if report.absent:
        print(f"{report.absent} rows are of images no longer in the source; --prune drops them")
    if report.failures:
        print("failed, and recorded in the file:")
        print(listed([f"{f.path}: {f.reason}: {f.message}" for f in report.failures]))
    if known:
        print(f"next: clipfeat benchmark {out}, or clipfeat fit {out} --clf logreg")


@contextmanager
def _saying_how_to_go_on(out: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        say(f"what was committed is kept beside {out}; the same command goes on from there")
        raise


def parse_arguments(texts: list[str]) -> dict[str, object] | None:
    """Read ``NAME=VALUE`` texts; values are Python literals where they can be, else text.

    Examples
    --------
    >>> parse_arguments(["pad_type=same", "mean=0.5"])
    {'pad_type': 'same', 'mean': 0.5}
    """
    found: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--encoder-arg takes NAME=VALUE, got {text!r}")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found or None
