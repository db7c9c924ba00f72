"""What is lost by freezing the network? The foil: the same network, fine-tuned on the same rows.

``python benchmarks/finetuned.py --train train-*.tar --test test.tar --encoder timm:ARCHITECTURE
--weights FILE [--encoder-arg mean=0.5 …] [--image-size 64] [--protocols in-domain,few-shot]``

Images are decoded and resized once, by clipfeat; every contender gets the same pixels, the same
training rows, the same test and the same seed:

- ``last layer, logreg`` …: frozen features of the network's last layer, and a classifier of the
  zoo with its defaults; and the same of intermediate layers (``--layers``, mean and deviation).
- ``last layer, fine-tuned``: a linear layer, trained by AdamW, on the frozen last layer.
- ``whole, fine-tuned``: all weights, by AdamW, batch norm training too, images mirrored at random.
  Where a file holds batch norms folded into the convolutions they are unfolded first (`unfold`).

Both fine-tunings warm up for a tenth of their steps and then follow a cosine to zero; their epochs
are fixed beforehand (``--epochs``, and at least ``--steps`` steps). The learning rate is chosen by
the log loss on a fifth of (at most ``--tuning-rows`` of) the training rows, on whole groups where
the test is of new groups: once for each training set's size or column, in its first training, since
to choose it in each would cost several times the rest. Nothing else is chosen on any rows.

Protocols: ``in-domain``, all training rows against ``--test``; ``few-shot``, so many images of each
class, smaller draws part of the larger, against ``--test``; ``leave-out``, values of a column of
the training images held out in turn, or with ``--folds`` so many sets of them.

Seconds are of all trainings of a table together: before, those of embedding the training rows
(their share of one pass over all) and of choosing the learning rate; then those of the fits; CPU
seconds are of all threads and of both. Reading, decoding, resizing and loading weights are the same
for all and not counted. Threads of a training wait for one another, so that other work on the same
cores costs it several times its share: seconds are worth comparing where the machine was idle.
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
from clipfeat.encoders.options import EncoderOptions
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
"""Number of images for which the encoder is opened: enough for a converted runtime."""
WHOLE = "whole, fine-tuned"


@dataclass(frozen=True, eq=False)
class Task:
    """A training and its test, the same for every contender.

    `groups` are those of all rows, where the test is of new ones.
    """

    name: str
    train: RowNumbers
    test: RowNumbers
    seed: int
    groups: NDArray[np.str_] | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """Probabilities of the test, and (wall, CPU) seconds before the fit, of it, and of the test."""

    p: NDArray[np.float64]
    before: NDArray[np.float64]
    fit: NDArray[np.float64]
    test: NDArray[np.float64]
    rate: float = math.nan


@dataclass(frozen=True)
class Tuning:
    """How one network is fine-tuned: `make` gives it untouched, for some training rows."""

    make: Callable[[torch.Tensor], nn.Module]
    inputs: torch.Tensor
    rates: Sequence[float]
    epochs: int
    steps: int
    rows: int
    chosen: dict[str, float] = field(default_factory=dict)


class Pixels(nn.Module):
    """Bytes to what the network takes; mirrored at random while training."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(mean).reshape(-1, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).reshape(-1, 1, 1))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Normalise (batch, 3, height, width)."""
        if self.training:
            mirrored = torch.rand(len(batch)) < 0.5
            batch = torch.where(mirrored.reshape(-1, 1, 1, 1), batch.flip(3), batch)
        scaled: torch.Tensor = (batch.float() - self.mean) / self.std
        return scaled.contiguous(memory_format=torch.channels_last)


def unfold(network: nn.Module, batch: torch.Tensor) -> None:
    """Give batch norms that were folded into the convolutions statistics to train with.

    A file may hold them as mean 0 and variance 1, all else being in the weights before them: the
    network is the same until it trains, when normalising by the batch would wreck it. Each is given
    the statistics of its own input, and the scale and shift that undo them: the same function.
    """
    folded = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)
              and not m.running_mean.any() and (m.running_var == 1).all()]  # fmt: skip

    def give(norm: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        spread, mean = torch.var_mean(inputs[0], (0, 2, 3), correction=0)
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        norm.bias.copy_(norm.bias + scale * (mean - norm.running_mean))
        norm.weight.copy_(scale * (spread + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(spread)

    hooks = [norm.register_forward_pre_hook(give) for norm in folded]
    with torch.no_grad():
        network.eval()(batch)
    for hook in hooks:
        hook.remove()


def timed(work: Callable[[], Any]) -> tuple[Any, NDArray[np.float64]]:
    """What it gives, and its (wall, CPU) seconds."""
    begun, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, np.array([time.perf_counter() - begun, time.process_time() - cpu])


def batches(n: int, size: int) -> Iterator[torch.Tensor]:
    """Random batches of one size for ever: every epoch a new order, its last rest left out."""
    while True:
        yield from torch.randperm(n)[: n - n % size].split(size)


def train(how: Tuning, rows: RowNumbers, y: torch.Tensor, rate: float, seed: int) -> nn.Module:
    """A network fine-tuned on some rows, in evaluation mode."""
    torch.manual_seed(seed)
    index = torch.from_numpy(rows)
    network = how.make(index).train()
    size = min(BATCH, len(rows))
    n_steps = max(how.steps, how.epochs * (len(rows) // size))
    warm = max(1, n_steps // 10)
    optimizer = torch.optim.AdamW(network.parameters(), rate)
    cosine = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * step / n_steps)),
    )
    for _, chosen in zip(range(n_steps), batches(len(rows), size), strict=False):
        loss = cross_entropy(network(how.inputs[index[chosen]]), y[index[chosen]])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        cosine.step()
    return network.eval()


def probabilities(
    network: nn.Module, inputs: torch.Tensor, rows: RowNumbers
) -> NDArray[np.float64]:
    """Of each class, in batches of 256."""
    with torch.inference_mode():
        parts = [network(inputs[part]) for part in torch.from_numpy(rows).split(256)]
    p: NDArray[np.float64] = torch.cat(parts).double().softmax(1).numpy()
    return p


def choose_rate(how: Tuning, data: FeatureSet, y: torch.Tensor, task: Task) -> float:
    """The learning rate with the least log loss on a held-out fifth of the training rows.

    Chosen in the first of the trainings of one name, and kept for the others.
    """
    if len(how.rates) == 1:
        return how.rates[0]
    if task.name in how.chosen:
        return how.chosen[task.name]
    rows = np.random.default_rng(task.seed).permutation(task.train)[: how.rows]
    groups = None if task.groups is None else task.groups[rows]
    fit, held = (rows[part] for part in inner_folds(data.y[rows], groups, 5, task.seed)[0])
    losses = []
    for rate in how.rates:
        network = train(how, fit, y, rate, task.seed)
        losses.append(score(data.y[held], probabilities(network, how.inputs, held))["log_loss"])
    print(f"  {task.name}, seed {task.seed}: log loss on {len(held)} of {len(rows)} training rows: "
          + ", ".join(f"{loss:.3f} at {rate:g}" for rate, loss in zip(how.rates, losses,
                                                                      strict=True)),
          file=sys.stderr, flush=True)  # fmt: skip
    how.chosen[task.name] = how.rates[int(np.argmin(losses))]
    return how.chosen[task.name]


def fine_tuned(how: Tuning, seconds: NDArray[np.float64], data: FeatureSet, task: Task) -> Outcome:
    """Choose a rate and train; `seconds` are of embedding a row, where the inputs are features."""
    y = torch.from_numpy(data.y)
    rate, choosing = timed(partial(choose_rate, how, data, y, task))
    network, fitting = timed(partial(train, how, task.train, y, rate, task.seed))
    p, testing = timed(partial(probabilities, network, how.inputs, task.test))
    before = choosing + seconds * len(task.train)
    return Outcome(p, before, fitting, testing + seconds * len(task.test), rate)


def frozen(
    X: NDArray[np.float32], clf: str, seconds: NDArray[np.float64], data: FeatureSet, task: Task
) -> Outcome:
    """Fit a classifier of the zoo on frozen features; `seconds` are those of embedding a row."""
    classifier = make_classifier(clf, random_state=task.seed, n_jobs=torch.get_num_threads())
    groups = None if task.groups is None else task.groups[task.train]
    fit = partial(fit_with_groups, classifier, X[task.train], data.y[task.train], groups)
    fitted, fitting = timed(fit)
    p, testing = timed(lambda: fitted.predict_proba(X[task.test]))
    return Outcome(p, seconds * len(task.train), fitting, testing + seconds * len(task.test))


def read(sources: Sequence[str], encoder: Encoder) -> tuple[torch.Tensor, FeatureSet]:
    """The labelled images of some sources as the encoder takes them, and what is known of them."""
    source = open_source(sources)
    records = [record for record in source if record.label]
    tensors, keys = [], []
    for record in records:
        data = record.reader.read()
        tensor = encoder.preprocess(decode(data).pixels)
        if tensor.dtype != torch.uint8:
            raise SystemExit("this encoder's preprocessing does not end in bytes of pixels")
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
    """Both, one after the other, their classes matched by name."""
    names = sorted({*data.columns, *more.columns})
    groups = [np.full(len(d), "") if d.groups is None else d.groups for d in (data, more)]
    labels = np.concatenate([data.labels, more.labels]).tolist()
    both = FeatureSet.from_arrays(np.zeros((len(labels), 0)), labels, np.concatenate(groups))
    blank = [{name: np.full(len(d), "") for name in names} | dict(d.columns) for d in (data, more)]
    columns = {name: np.concatenate([one[name] for one in blank]) for name in names}
    return replace(both, keys=np.concatenate([data.keys, more.keys]), columns=columns)


def embedded(encoder: Encoder, pixels: torch.Tensor) -> tuple[NDArray[np.float32], Any]:
    """Features of all images, and the (wall, CPU) seconds of one."""
    encoder.encode([pixels[0]])  # a runtime's first call also prepares it
    X, seconds = timed(lambda: np.concatenate([encoder.encode(b) for b in pixels.split(BATCH)]))
    return X, seconds / len(pixels)


def draw(rows: RowNumbers, y: NDArray[np.int64], n: int, seed: int) -> RowNumbers:
    """So many rows of each class; of one seed, smaller draws are part of larger ones."""
    shuffled = np.random.default_rng(seed).permutation(rows)
    return np.sort(np.concatenate([shuffled[y[shuffled] == c][:n] for c in np.unique(y)]))


def tasks(protocol: str, data: FeatureSet, n_train: int, given: Any) -> Iterator[Task]:
    """The trainings of a protocol; test rows of their own come after the first `n_train`."""
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
    """Means over a protocol's trainings, and how far each contender is from the whole network."""
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
    """Embed once, and lay out who takes part."""
    found: dict[str, Callable[[FeatureSet, Task], Outcome]] = {}
    options = options_of(given)
    layered = {"last layer": encoder}
    if given.layers:
        with_layers = replace(options, layers=given.layers, pool="mean+std")
        layered[f"layers {given.layers}"] = open_encoder(given.encoder, with_layers, n_images=MANY)
    for name, one in layered.items():
        X, seconds = embedded(one, pixels)
        print(f"{name}: {X.shape[1]} features, {1 / seconds[0]:.0f} images/s", flush=True)
        for clf in given.clf.split(","):
            found[f"{name}, {clf}"] = partial(frozen, X, clf, seconds)
        if one is encoder:
            rows, epochs, rates = torch.from_numpy(X), given.head_epochs, given.head_rates
            last = tuning(given, partial(linear, X.shape[1], n_classes), rows, rates, epochs)
            found["last layer, fine-tuned"] = partial(fine_tuned, last, seconds)
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
        own[1].get_classifier().reset_parameters()  # by the seed that the training has set
        unfold(own, pixels[rows[:256]])
        return own

    print(f"{WHOLE}: {sum(p.numel() for p in body.parameters()):,} weights", flush=True)
    how = tuning(given, whole, pixels, given.rates, given.epochs)
    return {**found, WHOLE: partial(fine_tuned, how, np.zeros(2))}


def linear(n_features: int, n_classes: int, _: torch.Tensor) -> nn.Module:
    """A last layer, whatever it will be trained on."""
    return nn.Linear(n_features, n_classes)


def tuning(given: Any, make: Any, inputs: torch.Tensor, rates: str, epochs: int) -> Tuning:
    """From the flags."""
    tried = [float(rate) for rate in rates.split(",")]
    return Tuning(make, inputs, tried, epochs, given.steps, given.tuning_rows)


def options_of(given: Any) -> EncoderOptions:
    """Read the encoder options from the flags."""
    return EncoderOptions(
        weights=given.weights, untrained=given.untrained, image_size=given.image_size,
        device="cpu", precision="fp32", arguments=parse_arguments(given.encoder_arg),
    )  # fmt: skip


def read_flags() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", nargs="+", required=True)
    parser.add_argument("--test", nargs="+", default=[])
    parser.add_argument("--encoder", default="timm:mobilenetv2_100")
    parser.add_argument("--weights")
    parser.add_argument("--untrained", action="store_true", help="random weights, to try this out")
    parser.add_argument("--encoder-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--layers", help="intermediate layers to try frozen, as in clipfeat embed")
    parser.add_argument("--clf", default="logreg,svm")
    parser.add_argument("--protocols", help="default: all, or leave-out where there is no --test")
    parser.add_argument("--leave-out", default="group", metavar="COLUMN")
    parser.add_argument("--folds", type=int, default=0)
    parser.add_argument("--few-shot", default="10,100,1000")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--rows", type=int, default=0, help="at most so many to train on")
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
        parser.error(f"no protocol {', '.join(unknown)}: in-domain, few-shot, leave-out")
    if not given.test and set(given.protocols) - {"leave-out"}:
        parser.error("in-domain and few-shot need --test")
    if not ALIASES.get(given.encoder, given.encoder).startswith("timm:"):
        parser.error(f"only networks of timm are fine-tuned here, got {given.encoder}")
    return given


def main() -> None:
    """Read, embed, and run every protocol."""
    given = read_flags()
    warnings.simplefilter("ignore", ClipfeatWarning)  # of random weights, of groups too few
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
        print(f"left out: {(~new).sum()} training images that are in the test, byte for byte")
        data = joined(data.take(new), held)
    print(f"{n_train:,} images to train on, {len(data) - n_train:,} held out, {data!r}", flush=True)
    who = contenders(given, pixels, len(data.classes), encoder)
    for protocol in given.protocols:
        done: dict[str, dict[str, list[Outcome]]] = {}
        of: dict[str, list[Task]] = {}
        for task in tasks(protocol, data, n_train, given):
            of.setdefault(task.name, []).append(task)
            for name, contender in who.items():
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
