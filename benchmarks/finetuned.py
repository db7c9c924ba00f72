"""Compare frozen features with fine-tuning of the same network on the same rows.

``python benchmarks/finetuned.py --train train-*.tar --test test.tar --encoder timm:ARCHITECTURE
--weights FILE [--encoder-arg mean=0.5 …] [--image-size 64] [--protocols in-domain,few-shot]``

clipfeat decodes and resizes the images once. All contenders get the same pixels, training rows,
test rows and seed:

- ``last layer, logreg`` …: a classifier with its defaults on frozen features of the last layer.
  With ``--layers``, also on the mean and standard deviation of intermediate layers.
- ``last layer, fine-tuned``: a linear layer, trained with AdamW on the frozen last layer.
- ``whole, fine-tuned``: all weights, batch norms included, trained with AdamW on images mirrored at
  random. Batch norms that the file folds into the convolutions are unfolded first (see `unfold`).

In both fine-tunings, the learning rate warms up for a tenth of the steps, and then decays to zero
on a cosine schedule. The number of epochs is fixed (``--epochs``, and at least ``--steps`` steps).
The learning rate is chosen by the log loss on a held-out fifth of the training rows, or of
``--tuning-rows`` of them. The held-out rows are whole groups if the test set has new groups. The
learning rate is chosen in the first training for each size of the training set or column, and
reused in the others. A choice in each training would cost several times as much as all other steps.
No other parameter is tuned.

Protocols: ``in-domain`` trains on all rows and tests on ``--test``. ``few-shot`` trains on a random
sample of each class and tests on ``--test``. For one seed, smaller samples are subsets of larger
ones. ``leave-out`` holds out each value of a column of the training images, or ``--folds`` sets of
values.

Seconds are summed over all trainings of a table. "Before" is the time to embed the training rows (a
fraction of one pass over all rows) and to choose the learning rate. "Fit" is the time of the fits.
CPU seconds include all threads of both. Reading, decoding, resizing and loading weights take the
same time for all contenders and are not counted. Threads of a training wait for one another, so
other processes on the same cores slow it down several times. Compare seconds on an idle machine.
"""

import argparse
import copy
import math
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy

from clipfeat.cli.parsing import parse_arguments
from clipfeat.encoders import ALIASES, open_encoder
from clipfeat.encoders.encoder import Encoder
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.encoders.registry import PREPROCESSING
from clipfeat.errors import ClipfeatWarning
from clipfeat.evaluate.metrics import score
from clipfeat.evaluate.splits import leave_one_out
from clipfeat.features import FeatureSet
from clipfeat.images import open_source
from clipfeat.images.decode import decode
from clipfeat.images.record import image_key
from clipfeat.zoo import make_classifier
from clipfeat.zoo.folds import RowNumbers, fit_with_groups, inner_folds, k_fold

BATCH = 64
MANY = 10**6
"""Number of images to expect, for `open_encoder`. For many images, it converts the network."""
WHOLE = "whole, fine-tuned"


@dataclass(frozen=True, eq=False)
class Task:
    """Training and test rows, the same for every contender.

    `groups` are the groups of all rows if the test set has new groups.
    """

    name: str
    train: RowNumbers
    test: RowNumbers
    seed: int
    groups: NDArray[np.str_] | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """Test probabilities, and (wall, CPU) seconds before the fit, in the fit and in the test."""

    p: NDArray[np.float64]
    before: NDArray[np.float64]
    fit: NDArray[np.float64]
    test: NDArray[np.float64]
    rate: float = math.nan


@dataclass(frozen=True)
class Tuning:
    """Settings to fine-tune a network. `make` returns the network with its initial weights."""

    make: Callable[[torch.Tensor], nn.Module]
    inputs: torch.Tensor
    rates: Sequence[float]
    epochs: int
    steps: int
    rows: int
    chosen: dict[str, float] = field(default_factory=dict)


class Pixels(nn.Module):
    """Layer that normalises bytes, and mirrors images at random during training."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(mean).reshape(-1, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).reshape(-1, 1, 1))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Normalise pixels, (batch, 3, height, width)."""
        if self.training:
            mirrored = torch.rand(len(batch)) < 0.5
            batch = torch.where(mirrored.reshape(-1, 1, 1, 1), batch.flip(3), batch)
        scaled: torch.Tensor = (batch.float() - self.mean) / self.std
        return scaled.contiguous(memory_format=torch.channels_last)


def unfold(network: nn.Module, batch: torch.Tensor) -> None:
    """Restore the statistics of batch norms that were folded into the convolutions.

    A file may store such batch norms with mean 0 and variance 1. Predictions are correct, but
    training with batch statistics would break the network. Each batch norm gets the statistics of
    its input, and the scale and shift that undo them, so the function does not change.
    """
    folded = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)
              and not m.running_mean.any() and (m.running_var == 1).all()]  # fmt: skip

    def restore(norm: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        variance, mean = torch.var_mean(inputs[0], (0, 2, 3), correction=0)
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        norm.bias.copy_(norm.bias + scale * (mean - norm.running_mean))
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

    hooks = [norm.register_forward_pre_hook(restore) for norm in folded]
    with torch.no_grad():
        network.eval()(batch)
    for hook in hooks:
        hook.remove()


def timed(work: Callable[[], Any]) -> tuple[Any, NDArray[np.float64]]:
    """Return the result of a function, and its (wall, CPU) seconds."""
    begun, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, np.array([time.perf_counter() - begun, time.process_time() - cpu])


def batches(n: int, size: int) -> Iterator[torch.Tensor]:
    """Yield random batches of one size endlessly. Incomplete batches are dropped."""
    while True:
        yield from torch.randperm(n)[: n - n % size].split(size)


def train(tuning: Tuning, rows: RowNumbers, y: torch.Tensor, rate: float, seed: int) -> nn.Module:
    """Fine-tune a network on some rows, and return it in evaluation mode."""
    torch.manual_seed(seed)
    index = torch.from_numpy(rows)
    network = tuning.make(index).train()
    size = min(BATCH, len(rows))
    n_steps = max(tuning.steps, tuning.epochs * (len(rows) // size))
    warm = max(1, n_steps // 10)
    optimizer = torch.optim.AdamW(network.parameters(), rate)
    cosine = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * step / n_steps)),
    )
    for _, chosen in zip(range(n_steps), batches(len(rows), size), strict=False):
        loss = cross_entropy(network(tuning.inputs[index[chosen]]), y[index[chosen]])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        cosine.step()
    return network.eval()


def probabilities(
    network: nn.Module, inputs: torch.Tensor, rows: RowNumbers
) -> NDArray[np.float64]:
    """Predict class probabilities in batches of 256."""
    with torch.inference_mode():
        parts = [network(inputs[part]) for part in torch.from_numpy(rows).split(256)]
    p: NDArray[np.float64] = torch.cat(parts).double().softmax(1).numpy()
    return p


def choose_rate(tuning: Tuning, data: FeatureSet, y: torch.Tensor, task: Task) -> float:
    """Choose the learning rate with the smallest log loss on a held-out fifth of the training rows.

    Later trainings of the same name reuse the choice of the first one.
    """
    if len(tuning.rates) == 1:
        return tuning.rates[0]
    if task.name in tuning.chosen:
        return tuning.chosen[task.name]
    rows = np.random.default_rng(task.seed).permutation(task.train)[: tuning.rows]
    groups = None if task.groups is None else task.groups[rows]
    fit, held = (rows[part] for part in inner_folds(data.y[rows], groups, 5, task.seed)[0])
    losses = []
    for rate in tuning.rates:
        network = train(tuning, fit, y, rate, task.seed)
        losses.append(score(data.y[held], probabilities(network, tuning.inputs, held))["log_loss"])
    print(f"  {task.name}, seed {task.seed}: log loss on {len(held)} of {len(rows)} training rows: "
          + ", ".join(f"{loss:.3f} at {rate:g}" for rate, loss in zip(tuning.rates, losses,
                                                                      strict=True)),
          file=sys.stderr, flush=True)  # fmt: skip
    tuning.chosen[task.name] = tuning.rates[int(np.argmin(losses))]
    return tuning.chosen[task.name]


def fine_tuned(
    tuning: Tuning, seconds: NDArray[np.float64], data: FeatureSet, task: Task
) -> Outcome:
    """Choose a learning rate and train. `seconds` is the time to embed a row, or 0 for pixels."""
    y = torch.from_numpy(data.y)
    rate, choosing = timed(partial(choose_rate, tuning, data, y, task))
    network, fitting = timed(partial(train, tuning, task.train, y, rate, task.seed))
    p, testing = timed(partial(probabilities, network, tuning.inputs, task.test))
    before = choosing + seconds * len(task.train)
    return Outcome(p, before, fitting, testing + seconds * len(task.test), rate)


def frozen(
    X: NDArray[np.float32], clf: str, seconds: NDArray[np.float64], data: FeatureSet, task: Task
) -> Outcome:
    """Fit a classifier on frozen features. `seconds` is the time to embed a row."""
    classifier = make_classifier(clf, random_state=task.seed, n_jobs=torch.get_num_threads())
    groups = None if task.groups is None else task.groups[task.train]
    fit = partial(fit_with_groups, classifier, X[task.train], data.y[task.train], groups)
    fitted, fitting = timed(fit)
    p, testing = timed(lambda: fitted.predict_proba(X[task.test]))
    return Outcome(p, seconds * len(task.train), fitting, testing + seconds * len(task.test))


def read(sources: Sequence[str], encoder: Encoder) -> tuple[torch.Tensor, FeatureSet]:
    """Read the labelled images of some sources: preprocessed pixels, labels and columns."""
    source = open_source(sources)
    records = [record for record in source if record.label]
    tensors, keys = [], []
    for record in records:
        data = record.reader.read()
        tensor = encoder.preprocess(decode(data).pixels)
        if tensor.dtype != torch.uint8:
            raise SystemExit(
                "this encoder does not preprocess images to uint8 pixels: use another encoder"
            )
        tensors.append(tensor)
        keys.append(image_key(data).hex())
    columns = [dict(record.columns) for record in records]
    names = sorted({name for one in columns for name in one})
    labels, groups = ([getattr(r, name) for r in records] for name in ("label", "group"))
    rows = FeatureSet.from_arrays(np.zeros((len(records), 0)), labels, groups)
    return torch.stack(tensors).contiguous(memory_format=torch.channels_last), replace(
        rows,
        keys=np.array(keys, dtype="S32"),
        groups=rows.groups if any(groups) else None,
        columns={name: np.array([one.get(name, "") for one in columns]) for name in names},
    )


def joined(data: FeatureSet, more: FeatureSet) -> FeatureSet:
    """Concatenate two sets of rows. Classes are matched by name."""
    names = sorted({*data.columns, *more.columns})
    groups = [np.full(len(d), "") if d.groups is None else d.groups for d in (data, more)]
    labels = np.concatenate([data.labels, more.labels]).tolist()
    both = FeatureSet.from_arrays(np.zeros((len(labels), 0)), labels, np.concatenate(groups))
    blank = [{name: np.full(len(d), "") for name in names} | dict(d.columns) for d in (data, more)]
    columns = {name: np.concatenate([one[name] for one in blank]) for name in names}
    return replace(both, keys=np.concatenate([data.keys, more.keys]), columns=columns)


def embedded(encoder: Encoder, pixels: torch.Tensor) -> tuple[NDArray[np.float32], Any]:
    """Embed all images. Return features and the (wall, CPU) seconds per image."""
    encoder.encode([pixels[0]])  # the first call also initialises the runtime
    X, seconds = timed(lambda: np.concatenate([encoder.encode(b) for b in pixels.split(BATCH)]))
    return X, seconds / len(pixels)


def draw(rows: RowNumbers, y: NDArray[np.int64], n: int, seed: int) -> RowNumbers:
    """Sample `n` rows of each class. For one seed, smaller samples are subsets of larger ones."""
    shuffled = np.random.default_rng(seed).permutation(rows)
    return np.sort(np.concatenate([shuffled[y[shuffled] == c][:n] for c in np.unique(y)]))


def tasks(protocol: str, data: FeatureSet, n_train: int, given: Any) -> Iterator[Task]:
    """List the tasks of a protocol. The rows after the first `n_train` are the test set."""
    rows = np.arange(len(data))
    training, test, seed = rows[:n_train], rows[n_train:], given.seed

    def some(of: RowNumbers) -> RowNumbers:
        return np.sort(np.random.default_rng(seed).permutation(of)[: given.rows or None])

    if protocol == "in-domain":
        yield Task(protocol, some(training), test, seed)
    elif protocol == "few-shot":
        for n in map(int, given.few_shot.split(",")):
            for one in range(seed, seed + given.draws):
                yield Task(f"{n} a class", draw(training, data.y[:n_train], n, one), test, one)
    else:
        own = data.take(training)
        if given.folds:
            groups = own.grouped_by(given.leave_out).split_groups
            splits = enumerate(k_fold(own.y, groups, given.folds, seed), 1)
        else:
            splits = leave_one_out(own, given.leave_out, seed).items()
        for held, (fit, tested) in splits:
            name = f"leave-out {given.leave_out}"
            print(f"  {name}: {held}", file=sys.stderr, flush=True)
            yield Task(name, some(fit), tested, seed, own.split_groups)


def table(title: str, y: NDArray[np.int64], done: dict[str, list[Outcome]], of: list[Task]) -> None:
    """Print means over the trainings, and how much better the whole network is than each other."""
    single = len(of) == 1
    sizes = sorted({len(task.train) for task in of}), sorted({len(task.test) for task in of})
    trained, tested = (" to ".join(f"{n:,}" for n in dict.fromkeys((s[0], s[-1]))) for s in sizes)
    print(f"\n### {title}: {len(of)} training{'' if single else 's'} on {trained} images, "
          f"each tested on {tested}\n")  # fmt: skip
    print("| contender | accuracy | least – most | ROC AUC | log loss | whole is better by | "
          "s before | s fit | CPU s | test ms/image | learning rate |\n"
          "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")  # fmt: skip

    def right(name: str) -> list[NDArray[np.bool_]]:
        return [one.p.argmax(1) == y[task.test] for one, task in zip(done[name], of, strict=True)]

    whole = right(WHOLE)
    for name, outcomes in done.items():
        scores = [score(y[task.test], one.p) for one, task in zip(outcomes, of, strict=True)]
        mean = {m: np.mean([s[m] for s in scores]) for m in ("accuracy", "roc_auc", "log_loss")}
        gaps = [a.astype(float) - b for a, b in zip(whole, right(name), strict=True)]
        units = 100 * (gaps[0] if single else np.array([gap.mean() for gap in gaps]))
        better = f"{units.mean():+.1f} ± {units.std(ddof=1) / math.sqrt(len(units)):.1f}"
        ends = [s["accuracy"] for s in scores]
        before, fit = (np.sum([getattr(o, k) for o in outcomes], axis=0) for k in ("before", "fit"))
        each = np.mean([one.test[0] / len(one.p) for one in outcomes])
        rates = sorted({one.rate for one in outcomes if one.rate == one.rate})
        print(f"| {name} | {mean['accuracy']:.4f} | "
              f"{'' if single else f'{min(ends):.3f} – {max(ends):.3f}'} | "
              f"{mean['roc_auc']:.4f} | {mean['log_loss']:.3f} | {better if name != WHOLE else ''} "
              f"| {before[0]:.1f} | {fit[0]:.1f} | {before[1] + fit[1]:.0f} | {1000 * each:.2f} | "
              f"{', '.join(f'{rate:g}' for rate in rates)} |", flush=True)  # fmt: skip


def contenders(given: Any, pixels: torch.Tensor, n_classes: int, encoder: Encoder) -> Any:
    """Embed the images and make all contenders."""
    made: dict[str, Callable[[FeatureSet, Task], Outcome]] = {}
    options = options_of(given)
    layered = {"last layer": encoder}
    if given.layers:
        with_layers = replace(options, layers=given.layers, pool="mean+std")
        layered[f"layers {given.layers}"] = open_encoder(given.encoder, with_layers, n_images=MANY)
    for name, one in layered.items():
        X, seconds = embedded(one, pixels)
        print(f"{name}: {X.shape[1]} features, {1 / seconds[0]:.0f} images/s", flush=True)
        for clf in given.clf.split(","):
            made[f"{name}, {clf}"] = partial(frozen, X, clf, seconds)
        if one is encoder:
            rows, epochs, rates = torch.from_numpy(X), given.head_epochs, given.head_rates
            last = read_tuning(given, partial(linear, X.shape[1], n_classes), rows, rates, epochs)
            made["last layer, fine-tuned"] = partial(fine_tuned, last, seconds)
    arguments = {k: v for k, v in (options.arguments or {}).items() if k not in PREPROCESSING}
    overlay = {"pretrained_cfg_overlay": {"file": given.weights}} if given.weights else {}
    network = timm.create_model(
        ALIASES.get(given.encoder, given.encoder).removeprefix("timm:"),
        pretrained=not given.untrained, num_classes=n_classes, **overlay, **arguments,
    )  # fmt: skip
    body = nn.Sequential(Pixels(encoder.spec.mean, encoder.spec.std), network)
    body = body.to(memory_format=torch.channels_last)

    def whole(rows: torch.Tensor) -> nn.Module:
        own = copy.deepcopy(body)
        own[1].get_classifier().reset_parameters()  # the training has set the seed
        unfold(own, pixels[rows[:256]])
        return own

    print(f"{WHOLE}: {sum(p.numel() for p in body.parameters()):,} weights", flush=True)
    whole_tuning = read_tuning(given, whole, pixels, given.rates, given.epochs)
    return {**made, WHOLE: partial(fine_tuned, whole_tuning, np.zeros(2))}


def linear(n_features: int, n_classes: int, _: torch.Tensor) -> nn.Module:
    """Make a linear layer. The training rows, which are the last argument, are not used."""
    return nn.Linear(n_features, n_classes)


def read_tuning(given: Any, make: Any, inputs: torch.Tensor, rates: str, epochs: int) -> Tuning:
    """Read the fine-tuning from the flags."""
    learning_rates = [float(rate) for rate in rates.split(",")]
    return Tuning(make, inputs, learning_rates, epochs, given.steps, given.tuning_rows)


def options_of(given: Any) -> EncoderOptions:
    """Read the encoder options from the flags."""
    return EncoderOptions(
        weights=given.weights, untrained=given.untrained, image_size=given.image_size,
        device="cpu", precision="fp32", arguments=parse_arguments(given.encoder_arg),
    )  # fmt: skip


def read_flags() -> argparse.Namespace:
    """Read and check the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", nargs="+", required=True)
    parser.add_argument("--test", nargs="+", default=[])
    parser.add_argument("--encoder", default="timm:mobilenetv2_100")
    parser.add_argument("--weights")
    parser.add_argument(
        "--untrained", action="store_true", help="Use random weights, to test this script."
    )
    parser.add_argument("--encoder-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--image-size", type=int)
    parser.add_argument(
        "--layers", help="Intermediate layers of frozen features, as in clipfeat embed."
    )
    parser.add_argument("--clf", default="logreg,svm")
    parser.add_argument(
        "--protocols", help="Comma-separated protocols. Default: all, or leave-out without --test."
    )
    parser.add_argument("--leave-out", default="group", metavar="COLUMN")
    parser.add_argument("--folds", type=int, default=0)
    parser.add_argument("--few-shot", default="10,100,1000")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--rows", type=int, default=0, help="Largest number of training rows.")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--head-epochs", type=int, default=50)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rates", default="0.0003,0.001,0.003")
    parser.add_argument("--head-rates", default="0.0001,0.0003,0.001,0.003")
    parser.add_argument("--tuning-rows", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    usual = "in-domain,few-shot,leave-out" if given.test else "leave-out"
    given.protocols = (given.protocols or usual).split(",")
    if unknown := set(given.protocols) - {"in-domain", "few-shot", "leave-out"}:
        parser.error(f"unknown protocol {', '.join(unknown)}: use in-domain, few-shot or leave-out")
    if not given.test and set(given.protocols) - {"leave-out"}:
        parser.error("in-domain and few-shot need --test")
    if not ALIASES.get(given.encoder, given.encoder).startswith("timm:"):
        parser.error(f"only networks of timm can be fine-tuned, got {given.encoder}: use timm:NAME")
    return given


def main() -> None:
    """Read and embed the images, and run every protocol."""
    given = read_flags()
    warnings.simplefilter("ignore", ClipfeatWarning)  # about random weights and too few groups
    encoder = open_encoder(given.encoder, options_of(given), n_images=MANY)
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, {os.cpu_count()} cores; "
          + ", ".join(f"{n} {version(n)}" for n in ("torch", "timm", "scikit-learn")))  # fmt: skip
    print(
        f"{encoder.spec.title}; whole: {given.epochs} epochs, its last layer: "
        f"{given.head_epochs}, each at least {given.steps} steps of {BATCH}; seed {given.seed}"
    )
    pixels, data = read(given.train, encoder)
    n_train = len(data)
    if given.test:
        more, held = read(given.test, encoder)
        new = ~np.isin(data.keys, held.keys)
        pixels, n_train = torch.cat([pixels[torch.from_numpy(new)], more]), int(new.sum())
        print(f"removed {(~new).sum()} training images that are byte-identical to a test image")
        data = joined(data.take(new), held)
    print(f"{n_train:,} images to train on, {len(data) - n_train:,} held out, {data!r}", flush=True)
    all_contenders = contenders(given, pixels, len(data.classes), encoder)
    for protocol in given.protocols:
        done: dict[str, dict[str, list[Outcome]]] = {}
        of: dict[str, list[Task]] = {}
        for task in tasks(protocol, data, n_train, given):
            of.setdefault(task.name, []).append(task)
            for name, contender in all_contenders.items():
                outcome = contender(data, task)
                done.setdefault(task.name, {}).setdefault(name, []).append(outcome)
                print(f"  {task.name}, seed {task.seed}, {name}: "
                      f"{(outcome.p.argmax(1) == data.y[task.test]).mean():.4f}, "
                      f"{outcome.before[0]:.1f} + {outcome.fit[0]:.1f} s",
                      file=sys.stderr, flush=True)  # fmt: skip
        for title, outcomes in done.items():
            table(title, data.y, outcomes, of[title])


if __name__ == "__main__":
    main()
