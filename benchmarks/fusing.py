"""Compare ways to run a vision transformer on one CPU core.

``python benchmarks/fusing.py [--repeats 7] [--images 64] [--batch-sizes 8 32] [--models NAME ...]``

The variants are plain torch, the fusing of `clipfeat.encoders.fusing`, OpenVINO, and torch.compile
with frozen weights. Weights and images (224×224) are random. Each repeat runs every variant once,
in turn, so that a change in the machine's speed affects all of them. One core is used because
clipfeat encodes one batch on each core. The table has these columns:

- the milliseconds per image: median, minimum and maximum;
- the median ratios of the times of plain torch and of the fused model to the time of the variant;
- the smallest cosine between the features and those of plain torch in float32;
- the seconds until the first batch is done.
"""

import argparse
import logging
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import open_clip
import timm
import torch
from torch.nn.functional import cosine_similarity

from clipfeat.encoders.runtime import Forward, TorchForward, openvino_forward

SIDE = 224
MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
PRECISIONS = ("bf16", "fp32")
MAX_SECONDS = 10.0  # limit of one measurement, in which a slow variant encodes fewer batches
MODELS: Mapping[str, Callable[[], torch.nn.Module]] = {
    "ViT-B-32": lambda: open_clip.create_model("ViT-B-32").visual,
    "ViT-B-32-quickgelu": lambda: open_clip.create_model("ViT-B-32-quickgelu").visual,
    "vit_small_patch16_224": partial(timm.create_model, "vit_small_patch16_224", num_classes=0),
    "vit_small_patch14_dinov2": partial(
        timm.create_model, "vit_small_patch14_dinov2", num_classes=0, img_size=SIDE
    ),
}
PLAIN, FUSED = "plain torch", "fused"


def in_torch(model: torch.nn.Module, precision: str, *, fuse: bool) -> TorchForward:
    """Run a model in torch, fused or not."""
    forward = TorchForward(
        model, torch.device("cpu"), precision, (SIDE, SIDE), MEAN, STD, fuse=fuse
    )
    if fuse and not forward.scales:
        raise RuntimeError("clipfeat.encoders.fusing leaves this model unchanged")
    return forward


def in_openvino(model: torch.nn.Module, precision: str) -> Forward:
    """Run a model in OpenVINO."""
    forward = openvino_forward(model, (SIDE, SIDE), precision, MEAN, STD, threads=1)
    if forward is None:
        raise RuntimeError("OpenVINO does not convert this model")
    return forward


def compiled(model: torch.nn.Module, precision: str) -> Forward:
    """Run a model through torch.compile with frozen weights."""
    import torch._inductor.config

    torch._inductor.config.freezing = True
    forward: Forward = torch.compile(in_torch(model, precision, fuse=False), dynamic=False)
    return forward


VARIANTS: Mapping[str, Callable[[torch.nn.Module, str], Forward]] = {
    PLAIN: partial(in_torch, fuse=False),
    FUSED: partial(in_torch, fuse=True),
    "OpenVINO": in_openvino,
    "torch.compile, freezing": compiled,
}


def milliseconds(forward: Forward, batch: torch.Tensor, n_batches: int) -> float:
    """Measure the time per image over some batches."""
    start = time.perf_counter()
    for _ in range(n_batches):
        forward(batch)
    return 1000 * (time.perf_counter() - start) / (n_batches * len(batch))


def compare(
    name: str, precision: str, batch_sizes: Sequence[int], n_images: int, repeats: int
) -> None:
    """Print the table rows of one model in one precision."""
    torch.manual_seed(0)
    model = MODELS[name]().eval().requires_grad_(False)
    exact = in_torch(model, "fp32", fuse=False)
    for size in batch_sizes:
        torch._dynamo.reset()  # a compiled model is specialised to its batch size
        batch = torch.randint(0, 256, (size, SIDE, SIDE, 3), dtype=torch.uint8)
        batch = batch.permute(0, 3, 1, 2)
        label = f"{name}, {precision}, batches of {size}"
        expected = exact(batch).double()
        forwards: dict[str, Forward] = {}
        cosines: dict[str, float] = {}
        opening: dict[str, float] = {}
        n_batches: dict[str, int] = {}
        for variant, make in VARIANTS.items():
            start = time.perf_counter()
            try:
                forward = make(model, precision)
                rows = forward(batch).double()
            except Exception as error:
                reason = next(iter(str(error).splitlines()), "")[:200]
                print(f"| {label} | {variant} | failed: {type(error).__name__}: {reason} |||||")
                continue
            opening[variant] = time.perf_counter() - start
            cosines[variant] = float(cosine_similarity(rows, expected).min())
            forwards[variant] = forward
            start = time.perf_counter()
            forward(batch)  # the first call includes the compilation
            seconds = time.perf_counter() - start
            n_batches[variant] = max(1, min(n_images // size, int(MAX_SECONDS / seconds)))
        times: dict[str, list[float]] = {variant: [] for variant in forwards}
        for _ in range(repeats):
            for variant, forward in forwards.items():
                times[variant].append(milliseconds(forward, batch, n_batches[variant]))
        for variant, spent in times.items():
            speed = f"{statistics.median(spent):.2f} ({min(spent):.2f} – {max(spent):.2f})"
            ratios = [
                f"{statistics.median(map(_ratio, times[other], spent)):.2f}"
                if other in times
                else ""
                for other in (PLAIN, FUSED)
            ]
            print(
                f"| {label} | {variant} | {speed} | {ratios[0]} | {ratios[1]} "
                f"| {cosines[variant]:.6f} | {opening[variant]:.1f} |",
                flush=True,
            )


def _ratio(other: float, own: float) -> float:
    return other / own


def main() -> None:
    """Print the comparison as a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7, help="Measurements of each variant.")
    parser.add_argument("--images", type=int, default=64, help="Images of one measurement.")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[8, 32])
    parser.add_argument(
        "--models", nargs="+", choices=MODELS, default=["ViT-B-32", "vit_small_patch16_224"]
    )
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # open_clip warns about random weights
    torch.set_num_threads(1)
    processor = torch.cpu.get_capabilities()
    bfloat16 = [name for name in ("amx_bf16", "avx512_bf16") if processor.get(name)]
    print(
        f"{platform.platform()}, one of {os.cpu_count()} cores of {processor.get('cpu_name')} "
        f"({', '.join(bfloat16) or 'no bfloat16'}), torch {torch.__version__}\n"
    )
    print("| model | variant | ms per image | plain / this | fused / this | cosine | start, s |")
    print("|---|---|---|---|---|---|---|")
    with torch.inference_mode():
        for name in options.models:
            for precision in PRECISIONS:
                compare(name, precision, options.batch_sizes, options.images, options.repeats)


if __name__ == "__main__":
    main()
