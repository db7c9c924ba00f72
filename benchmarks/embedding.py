"""Speed of embedding a folder of JPEGs, compared with other tools.

``python benchmarks/embedding.py [vit-b-32 resnet50 efficientnet-b4] [--images 1024] [--repeats 3]``

All encoders use the first GPU if there is one.

The script makes images (500×375, from photographs in scikit-image) and random weights once, and a
virtual environment for each tool. It runs all tools on the same files, interleaved. The time runs
from the first image to the finished file, without loading the model. The time in which clipfeat
compares precisions and converts the network is not included, but is printed separately. ``--skip``
leaves a tool out. Each runner is a script in ``benchmarks/peers``.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
SIZE = (500, 375)


@dataclass(frozen=True)
class Runner:
    """One row of the table: a script, its argument, and its requirements.

    A runner without requirements uses the environment of this script.
    """

    script: str
    argument: str = ""
    requirements: tuple[str, ...] = ()


CLIP_RETRIEVAL = ("clip-retrieval==2.45.0", "setuptools<81")
"""clip-retrieval needs pkg_resources, which newer versions of setuptools lack."""
TRANSFORMERS = ("transformers==5.23.0", "torch", "torchvision", "pillow")
THINGSVISION = ("thingsvision==2.7.3",)

OWN = {
    "clipfeat, auto": Runner("clipfeat_embed.py", "auto"),
    "clipfeat, fp32": Runner("clipfeat_embed.py", "fp32"),
    "encoder alone, bf16": Runner("encoder_alone.py", "bf16"),
    "encoder alone, fp32": Runner("encoder_alone.py", "fp32"),
}
RUNNERS: dict[str, tuple[str, dict[str, Runner]]] = {
    "vit-b-32": (
        "open_clip:ViT-B-32",
        OWN
        | {
            "open_clip + DataLoader": Runner("open_clip_loop.py"),
            "clip-retrieval": Runner("clip_retrieval_run.py", "", CLIP_RETRIEVAL),
            "transformers": Runner("transformers_clip.py", "", TRANSFORMERS),
        },
    ),
    "vit-l-14": (
        "open_clip:ViT-L-14",
        OWN | {"open_clip + DataLoader": Runner("open_clip_loop.py")},
    ),
    "efficientnet-b0": (
        "timm:efficientnet_b0",
        OWN | {"timm + DataLoader": Runner("timm_loop.py")},
    ),
    "resnet50": (
        "timm:resnet50",
        OWN
        | {
            "timm + DataLoader": Runner("timm_loop.py"),
            "thingsvision": Runner("thingsvision_loop.py", "", THINGSVISION),
        },
    ),
    "efficientnet-b4": (
        "timm:efficientnet_b4",
        OWN | {"timm + DataLoader": Runner("timm_loop.py")},
    ),
}


def make_images(folder: Path, n: int) -> None:
    """Write noisy crops of bundled photographs, so that no two files are equal."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [path for i in range(n) if not (path := folder / f"{i:06d}.jpg").exists()]
    with ProcessPoolExecutor() as processes:
        for _ in processes.map(make_image, missing, chunksize=64):
            pass


def make_image(path: Path) -> None:
    """Write the image of a path. Its name is a number, which seeds the crop and the noise."""
    import skimage.data

    rng = np.random.default_rng(int(path.stem))
    photograph = (skimage.data.astronaut, skimage.data.coffee, skimage.data.chelsea)[
        int(path.stem) % 3
    ]()
    height, width = (int(side * rng.uniform(0.5, 1)) for side in photograph.shape[:2])
    crop = Image.fromarray(photograph[:height, :width]).resize(SIZE, Image.Resampling.BICUBIC)
    noisy = np.asarray(crop) + rng.normal(0, 4, (*SIZE[::-1], 3))
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(path, quality=90)


def make_weights(encoder: str, path: Path) -> None:
    """Write random weights of an architecture, for all tools that read a file."""
    import torch

    if path.exists():
        return
    torch.manual_seed(0)
    library, _, name = encoder.partition(":")
    if library == "open_clip":
        import open_clip

        model = open_clip.create_model(name)
    else:
        import timm

        model = timm.create_model(name)
    torch.save(model.state_dict(), path)


def python_of(name: str, requirements: tuple[str, ...], work: Path) -> str:
    """Return the interpreter of a runner's environment, and make the environment if needed."""
    if not requirements:
        return sys.executable
    folder = work / "environments" / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"installing {name} …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *requirements], check=True)
        (folder / "ready").touch()
    return str(python)


def run(python: str, runner: Runner, encoder: str, images: Path, weights: Path) -> dict[str, float]:
    """Run a script, and return its seconds, images and, for clipfeat, seconds of opening."""
    with tempfile.TemporaryDirectory() as out:
        command = [python, HERE / "peers" / runner.script, encoder, images, weights, out]
        done = subprocess.run(
            [str(part) for part in [*command, runner.argument]],
            capture_output=True, text=True, check=False, env=os.environ | {"HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{runner.script} failed:\n{done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def main() -> None:
    """Run all tools, interleaved, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoders", nargs="*", default=list(RUNNERS))
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--skip", action="append", default=[])
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "clipfeat-bench")
    args = parser.parse_args()
    images = args.work / f"images-{args.images}"
    make_images(images, args.images)
    print(f"{platform.platform()}, {os.cpu_count()} cores, {args.images} JPEGs of 500×375")
    for name in args.encoders:
        encoder, runners = RUNNERS[name]
        weights = args.work / f"{name}.pt"
        make_weights(encoder, weights)
        wanted = {title: r for title, r in runners.items() if title not in args.skip}
        pythons = {t: python_of(Path(r.script).stem, r.requirements, args.work)
                   for t, r in wanted.items()}  # fmt: skip
        rates: dict[str, list[float]] = {title: [] for title in wanted}
        opening: dict[str, float] = {}
        for _ in range(args.repeats):
            for title, runner in wanted.items():
                result = run(pythons[title], runner, encoder, images, weights)
                rates[title].append(result["images"] / result["seconds"])
                print(f"  {title}: {rates[title][-1]:.1f}", file=sys.stderr, flush=True)
                opening[title] = result.get("opening", 0.0)
        ours = statistics.median(rates["clipfeat, auto"])
        print(f"\n{encoder}, images/s, median of {args.repeats} (min – max)")
        for title, values in rates.items():
            median = statistics.median(values)
            opened = f", {opening[title]:.1f} s to open" if opening[title] else ""
            print(
                f"  {title:24s} {median:7.1f} ({min(values):.1f} – {max(values):.1f}), "
                f"clipfeat auto is {ours / median:.2f} times as fast{opened}"
            )


if __name__ == "__main__":
    main()
