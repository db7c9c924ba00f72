"""``clipfeat demo``."""

import time
from pathlib import Path

from clipfeat.cli import option_types as options
from clipfeat.cli.benchmark import benchmark
from clipfeat.cli.embed import embed
from clipfeat.cli.exits import reports_errors
from clipfeat.cli.fit import fit
from clipfeat.cli.predict import predict
from clipfeat.errors import OutputExistsError
from clipfeat.system.locations import local_path

CLASSIFIERS = "logreg,knn,rf,lgbm,xgb,svm"


@reports_errors
def demo(
    output: options.DemoFolder = Path("clipfeat-demo"),
    images_only: options.ImagesOnly = False,
    progress: options.ShowProgress = True,
) -> None:
    """Try embed, benchmark, fit and predict on a small image set.

    The demo generates the images. It needs no download and no GPU, and takes less than two minutes.

    Example: clipfeat demo -o clipfeat-demo
    """
    from clipfeat.cli.demo_images import GENERATORS, make_simulated
    from clipfeat.system.files import check_links, names_in

    local_path(output)
    begun = time.monotonic()
    if output.exists() and not (output / "images" / "manifest.csv").exists():
        raise OutputExistsError(
            f"{output} exists and was not written by a demo. Choose another -o."
        )
    check_links(output, names_in(output))
    images = make_simulated(output)
    print(
        f"wrote {images.n_images} images to {images.manifest.parent}: patches of real photographs, "
        f"and copies of each patch that {len(GENERATORS)} SIMULATED generators changed "
        f"({', '.join(GENERATORS)}).\nNo image comes from a real generator. The demo shows the "
        "steps of clipfeat, not its accuracy."
    )
    if images_only:
        return
    features, model = output / "features.h5", output / "model.clipfeat"
    folds, unseen = output / "benchmark", output / "benchmark-unseen-generator"
    predictions = output / "predictions.csv"

    _show(f"clipfeat embed {images.manifest} {features} --encoder spectrum")
    embed([str(images.manifest)], features, encoder="spectrum", overwrite=True, progress=progress)
    _show(f"clipfeat benchmark {features} -o {folds}")
    benchmark([features], output=folds, overwrite=True, progress=progress)
    _show(f"clipfeat benchmark {features} --leave-one-out generator -o {unseen}")
    benchmark(
        [features], leave_one_out="generator", output=unseen, overwrite=True, progress=progress
    )
    _show(f"clipfeat fit {features} --clf {CLASSIFIERS} --cv 0 -o {model}")
    fit([features], clf=CLASSIFIERS, cv=0, output=model, overwrite=True, progress=progress)
    _show(f"clipfeat predict {model} {images.new} -o {predictions}")
    predict(model, [str(images.new)], output=predictions, overwrite=True, progress=progress)

    print(f"\nfinished in {time.monotonic() - begun:.0f} s. Results:")
    for name, path in {
        "feature file": features,
        "model file": model,
        "leaderboard": folds / "leaderboard.md",
        "unseen generators": unseen / "leaderboard.md",
        "predictions": predictions,
    }.items():
        print(f"  {name:<20} {path}")
    print("\nNext, use your own images, with one folder per class:")
    print("  clipfeat embed images/ out.h5 && clipfeat fit out.h5 --clf logreg")


def _show(command: str) -> None:
    from clipfeat.cli.console import console

    console().print(f"\n[bold cyan]$ {command}[/]", soft_wrap=True)
