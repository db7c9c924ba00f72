"""Training run: features, benchmark, chosen model, test, audit and report of one recipe.

All choices are made on the training images. The classifier or vote with the best balanced accuracy
in the cross-validation becomes the model, which is then fitted on all training images. Test images
are predicted and scored after the model file is written.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np

from clipfeat.auditing.result import AUDIT_RECORD
from clipfeat.auditing.run_images import audit_run, thumbnail_reader
from clipfeat.embedding.embed_report import EmbedReport
from clipfeat.embedding.views import ORIGINAL
from clipfeat.errors import ClipfeatError, LabelError, OutputExistsError, UsageError
from clipfeat.evaluate import Benchmark, KFold, Leaderboard, benchmark
from clipfeat.evaluate.entries import entry_names
from clipfeat.evaluate.fitting import fit_entry
from clipfeat.evaluate.official_split import official_parts, without_test
from clipfeat.evaluate.protocols import FOLDS
from clipfeat.features import FeatureSet
from clipfeat.features.label_text import check_spellings
from clipfeat.features.official_parts import SPLIT, official_part
from clipfeat.fits.cache import versions
from clipfeat.fits.fit_resources import FitResources
from clipfeat.images.faces import open_finder
from clipfeat.images.manifest import is_table
from clipfeat.images.memory import ImageInput, paths_of
from clipfeat.images.record import ImageRecord, record_path
from clipfeat.images.source import ImageSource
from clipfeat.images.source_options import SourceOptions, open_inputs
from clipfeat.images.spellings import renamed
from clipfeat.images.video.frames import with_frames
from clipfeat.model import Model, load_model
from clipfeat.model.abstention import check_images
from clipfeat.prediction.label_match import as_classes
from clipfeat.prediction.predictions import Predictions, in_listed_rows, predictions_of
from clipfeat.report.page.write import PageOptions
from clipfeat.report.run_folder import COMMAND, LOCK, RUN, claimed_folder
from clipfeat.store import load
from clipfeat.system.escaping import spreadsheet_csv
from clipfeat.system.files import (
    check_regular,
    names_in,
    publish,
    read_regular,
    remove,
    storage_errors,
)
from clipfeat.system.json_numbers import json_integer
from clipfeat.system.locations import local_path
from clipfeat.system.progress import Phase, PhaseClock, Report, reporting
from clipfeat.training.member_features import embed_members
from clipfeat.training.recipe import DEFAULT_RECIPE, Member, Recipe, find_recipe
from clipfeat.training.result import (
    AUDIT,
    BENCHMARK,
    MODEL,
    PREDICTIONS,
    RECORD,
    SUBMISSION,
    SUMMARY,
    Training,
)
from clipfeat.training.summary import summary_markdown
from clipfeat.zoo.fit_options import FitOptions

VERSION = 1
MAX_RECORD = 2**24
"""Maximum size of the record of a run in bytes. A larger file is not read."""
DIGEST = "model_sha256"
"""Field of the record of a run with the digest of its model file."""
MAX_SHOWN = 200
SHARE_OF_FOLDS = 0.75
"""Share of the time limit for the cross-validation. The rest is for the fit of the model.

A fit on all images takes about a third of the time of the five fits on four fifths of them."""
GROUP = "group"
MAX_GROUPS = 30
"""With more groups than this, there is no table of rates for each group."""


def train(
    source: ImageInput,
    folder: str | Path,
    recipe: str | Recipe = DEFAULT_RECIPE,
    *,
    inputs: SourceOptions = SourceOptions(),
    test: ImageInput | None = None,
    time_limit: float | None = None,
    device: str = "auto",
    random_state: int = 0,
    overwrite: bool = False,
    progress: bool | Report = True,
) -> Training:
    """Train a model on labelled images, with a recipe that needs no further choices.

    The images are encoded, and every classifier of the recipe is fitted on the features of every
    encoder. The classifier or vote with the best balanced accuracy in a 5-fold cross-validation is
    fitted on all training images. The folder then contains the feature files, the benchmark with
    its report, the audit, the model file and a summary. The same call resumes an interrupted run.
    If images were added or removed since then, it encodes the new images and fits a new model.

    Parameters
    ----------
    source : path, sequence of paths, images in memory, or ImageSource
        Labelled images, as for `clipfeat.embed`. If a column ``split`` holds an official split, its
        test images are left out of the training.
    folder : path
        A new or empty folder, or the folder of an earlier run of the same call.
    recipe : str or Recipe
        Name of a recipe in `clipfeat.training.recipe.RECIPES`, or a recipe.
    inputs : SourceOptions
        Labels, columns and frames. Its views and faces replace the views and faces of the recipe.
    test : path, sequence of paths, images in memory, or ImageSource, optional
        Test images. They are predicted after the model is chosen and fitted, so they have no
        influence on it. By default, these are the test images of an official split.
    time_limit : float, optional
        Time limit of all fits together, in seconds. A classifier that needs more than its share is
        left out. The time for encoding the images is not limited. The time of the final fit is only
        estimated, so a run may exceed the limit.
    device : str
        As in `EncoderOptions`.
    random_state : int
        Random seed of the folds and the classifiers.
    overwrite : bool
        Whether to begin again in a folder that holds another run or other files.
    progress : bool or callable
        Whether to show the progress on standard error or in the notebook. A callable is called with
        each `clipfeat.system.progress.Phase` instead.

    Returns
    -------
    Training
        The model, its scores, and the parts of the run.

    Raises
    ------
    UnknownNameError
        If there is no such recipe.
    OutputExistsError
        If the folder holds the run of another call, other files, or a model file that was changed
        after the run wrote it, and `overwrite` is False.
    UsageError
        If the folder is inside a folder of images.
    LockedError
        If another process uses the folder.
    LabelError
        If there are no labels, or if a class has too few images or groups.
    WeightsError
        If the weights of an encoder are missing.
    DataError
        If no image can be encoded. If no classifier finishes within the time limit.

    Examples
    --------
    >>> import clipfeat
    >>> run = clipfeat.train("images/", "run/", test="new/")  # doctest: +SKIP
    """
    row = find_recipe(recipe) if isinstance(recipe, str) else recipe
    FitResources(time_limit=time_limit)  # checks the limit
    options = row.model_options  # checks the options
    inputs = _with_recipe(inputs, row)
    images = open_inputs(source, inputs)
    _check_labels(images, inputs, options)
    test_inputs = _test_inputs(test, inputs)
    test_images = None if test is None else open_inputs(test, test_inputs)
    target = local_path(folder)
    _check_is_outside(target, [*paths_of(source), *paths_of(test)])
    command = _command(row, images, inputs, random_state)
    if not overwrite:
        _check_same_command(target, command)
    members = row.members(device)
    with (
        reporting(progress) as report,
        claimed_folder(target, command, overwrite=overwrite),
    ):
        if not overwrite:
            _check_same_model(target)
        clock = PhaseClock(report)
        embedded = embed_members(
            members, images, target, "features", inputs, clock, overwrite=overwrite
        )
        everything = load(
            *(one.path for one in embedded), merge_labels=inputs.merge_labels, progress=clock
        )
        data = _with_group_column(without_test(everything.labelled(), SPLIT).labelled())
        data = data.in_content_order()
        with claimed_folder(target / BENCHMARK, command, overwrite=True) as cells:
            run, n_reused = _benchmark(data, row, time_limit, random_state, cells, clock)
            board = _board(run)
            entry = board.entries[0]
            clock(Phase("fitting the model", detail=entry))
            state = _state(run, entry, row)
            fit = partial(
                fit_entry, run, data, entry, options=row.model_options, random_state=random_state,
                progress=clock,
            )  # fmt: skip
            model, is_reused = _fit_or_reuse(target, state, fit, overwrite=overwrite)
            reused = _reused(embedded, n_reused, is_model=is_reused)
            used = [i for i, one in enumerate(embedded) if one.spec in model.specs]
            tested: list[EmbedReport] = []
            if test_images is None:
                predictions = _official_test(model, [embedded[i] for i in used], images, inputs)
            else:
                tested = embed_members(
                    [_as_embedded(members[i], embedded[i]) for i in used], test_images, target,
                    _test_file(test_images), test_inputs, clock, overwrite=overwrite,
                )  # fmt: skip
                clock(Phase("test"))
                predictions = _predict(
                    model,
                    load(*(one.path for one in tested), progress=False),
                    test_images,
                    test_inputs,
                )
            clock(Phase("audit"))
            files = [embedded[used[0]].path, *(one.path for one in tested[:1])]
            checked = audit_run(run, board, files, report=_named("audit", clock))
            clock(Phase("report"))
            page = PageOptions(features=data, audit=checked, thumbnails=thumbnail_reader(files))
            run.save(
                target / BENCHMARK, board=board, page=page, overwrite=True,
                progress=_named("report", clock),
            )  # fmt: skip
        if checked is not None:
            checked.save(target / AUDIT)
        training = Training(
            folder=target,
            recipe=row,
            benchmark=run,
            board=board,
            entry=entry,
            model=model,
            features=embedded,
            audit=checked,
            test=predictions,
            test_name="" if test_images is None else test_images.name,
            reused=reused,
            seconds=dict(clock.stop()),
        )
        _save(training, state)
    return training


def _named(name: str, report: Report) -> Report:
    """Report all phases of one part of the run under one name."""
    return lambda phase: report(replace(phase, name=name))


def _with_recipe(inputs: SourceOptions, recipe: Recipe) -> SourceOptions:
    faces = inputs.faces
    if faces is None and recipe.faces is not None:
        faces = open_finder(recipe.faces)
    return replace(inputs, views=inputs.views or recipe.views, faces=faces)


def _test_inputs(test: ImageInput | None, inputs: SourceOptions) -> SourceOptions:
    """Return the options for the test images. Labels and views are for training only."""
    of_table = any(is_table(path) for path in paths_of(test))
    root = inputs.image_root if of_table else None
    return replace(inputs, labels=None, views=None, image_root=root)


def _as_embedded(member: Member, of_training: EmbedReport) -> Member:
    """Return a member with the precision that was chosen on the training images."""
    precision = of_training.spec.precision
    return replace(member, options=replace(member.options, precision=precision))


def _test_file(images: ImageSource) -> str:
    """Return the prefix of the file names of the test features. It differs between sources."""
    digest = hashlib.sha256(f"{images.name}\0{images.root}".encode(errors="surrogatepass"))
    return f"test-{digest.hexdigest()[:8]}"


def _check_is_outside(target: Path, sources: Sequence[str]) -> None:
    """Refuse an output folder inside a source.

    The next call would read the plots of the run as images.
    """
    for source in sources:
        if Path(source).is_dir() and target.resolve().is_relative_to(Path(source).resolve()):
            raise UsageError(
                f"{target} is inside the folder of images {source}, so the plots of the run would "
                f"be read as images. With -o, choose a folder outside {source}"
            )


def _check_labels(images: ImageSource, inputs: SourceOptions, options: FitOptions) -> None:
    """Check before the images are encoded that there are two or more classes with enough images.

    The sizes of classes are not checked if classes are merged or test images are left out later.
    """
    counts = Counter(record.label for record in images if record.label)
    if len(counts) < 2:
        raise LabelError(
            f"{images.name} has {len(counts)} classes ({', '.join(counts) or 'no labels'}), but "
            "training needs 2 or more. Put the images of each class into a folder with its name, "
            "or pass a table with --labels"
        )
    if not inputs.merge_labels:
        check_spellings(counts, images.name)
    if inputs.merge_labels or any(SPLIT in dict(record.columns) for record in images):
        return
    label, n_images = min(counts.items(), key=itemgetter(1))
    if n_images < FOLDS:
        raise LabelError(
            f"class {label!r} of {images.name} has {n_images} images, fewer than the {FOLDS} "
            "folds. Add images of this class, or remove it"
        )
    if options.abstain is not None:
        check_images(options.abstain, counts)


def _command(
    recipe: Recipe, images: ImageSource, inputs: SourceOptions, random_state: int
) -> dict[str, object]:
    """Return everything that identifies the run, as JSON values.

    The level of the abstention is not included. It changes only the model, so a run with another
    level can reuse the other parts.
    """
    return {
        "recipe": replace(recipe, abstain=None).record(),
        "source": images.name,
        "root": images.root,
        "labels": None if inputs.labels is None else str(Path(inputs.labels).resolve()),
        "columns": repr(inputs.columns),
        "frames": repr(inputs.frames),
        "views": None if inputs.views is None else str(inputs.views),
        "faces": None if inputs.faces is None else inputs.faces.identity,
        "globs": repr(inputs.globs),
        "merge_labels": inputs.merge_labels,
        "seed": random_state,
    }


def _check_same_command(folder: Path, command: Mapping[str, object]) -> None:
    """Refuse the folder of another training run, and name the difference."""
    try:
        earlier = _read_record(folder / COMMAND)
    except (OSError, ValueError):
        return  # `claimed_folder` checks the folder
    is_begun = any(name not in (COMMAND, LOCK) for name in names_in(folder))
    if not is_begun or not isinstance(earlier, dict) or set(earlier) != set(command):
        return
    before, now = (_flat(one) for one in (earlier, command))
    different = [
        f"{name} {one}, got {other}"
        for name, value in now.items()
        if before.get(name) != value
        for one, other in [[shorten(repr(v), MAX_SHOWN) for v in (before.get(name), value)]]
    ]
    if different:
        raise OutputExistsError(
            f"{folder} holds a run with {'; '.join(different[:3])}. Choose another folder (-o), or "
            "add --overwrite to begin again"
        )


def _check_same_model(folder: Path) -> None:
    """Refuse a model file that was changed after the run wrote it, because it would be replaced."""
    try:
        written = _read_record(folder / RECORD)[DIGEST]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if _model_digest(folder) not in (written, None):
        raise OutputExistsError(
            f"{folder / MODEL} was changed after the run wrote it, for example by `clipfeat "
            "adapt`. Move it out of the folder and repeat the command, which then fits the model "
            "again"
        )


def _model_digest(folder: Path) -> str | None:
    """Return the SHA-256 digest of the model file as text, or None if there is no such file."""
    path = folder / MODEL
    with storage_errors(f"reading {path}"):
        try:
            check_regular(path)
        except FileNotFoundError:
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def _read_record(path: Path) -> Any:
    """Read a JSON file of a folder, which may come from a stranger.

    Raises
    ------
    OSError
        If the file does not exist or cannot be read.
    ValueError
        If it is too large, is not a regular file, or is not JSON.
    """
    try:
        return json.loads(read_regular(path, MAX_RECORD), parse_int=json_integer)
    except RecursionError as error:
        raise ValueError("the JSON text is nested too deep") from error


def _flat(command: Mapping[str, object]) -> dict[str, object]:
    recipe = command["recipe"]
    settings = dict(recipe) if isinstance(recipe, Mapping) else {}
    others = {name: one for name, one in command.items() if name != "recipe"}
    return {"recipe": settings.pop("name", None), **settings, **others}


def _benchmark(
    data: FeatureSet, recipe: Recipe, time_limit: float | None, random_state: int, cells: Path,
    report: Report,
) -> tuple[Benchmark, int]:  # fmt: skip
    """Cross-validate every classifier. Return the run, and the number of reused fits."""
    entries = entry_names(recipe.classifiers, data.specs)
    n_entries = len(entries)
    limit = None if time_limit is None else SHARE_OF_FOLDS * time_limit / n_entries
    before = len(list(cells.glob("*.npz")))
    run = benchmark(
        data,
        recipe.classifiers,
        protocol=KFold(FOLDS, tested_view=ORIGINAL if "view" in data.columns else ""),
        options=recipe.fit_options,
        vote=recipe.votes,
        random_state=random_state,
        resources=FitResources(time_limit=limit),
        cache=cells,
        progress=_named("benchmark", report),
    )
    n_new = len(list(cells.glob("*.npz"))) - before
    n_finished = FOLDS * len(set(run.complete) & set(entries))
    return run, max(0, n_finished - n_new)


def _with_group_column(data: FeatureSet) -> FeatureSet:
    """Add the names of the groups as a column, if there are few, for the table of rates."""
    if data.groups is None or GROUP in data.columns or (data.groups == data.files).all():
        return data  # each group consists of the rows of one file, such as its views
    if not 1 < len(np.unique(data.groups)) <= MAX_GROUPS:
        return data
    return replace(data, columns={**data.columns, GROUP: data.groups})


def _board(run: Benchmark) -> Leaderboard:
    """Return the leaderboard, with rates for each generator and source, or for each group."""
    board = run.leaderboard()
    if board.rates is None and GROUP in run.columns:
        return run.leaderboard(by=GROUP)
    return board


def _state(run: Benchmark, entry: str, recipe: Recipe) -> dict[str, Any]:
    """Return everything that the model depends on, as JSON values."""
    is_vote = entry in run.about["votes"]
    return {
        "versions": versions(),
        "data": run.about["data_fingerprint"],
        "fingerprints": [spec.fingerprint for spec in run.specs],
        "entry": entry,
        "members": list(run.about["voters"]) if is_vote else [entry],
        "recipe": recipe.record(),
        "seed": run.about["seed"],
    }


def _fit_or_reuse(
    folder: Path, state: Mapping[str, Any], fit: Callable[[], Model], *, overwrite: bool
) -> tuple[Model, bool]:
    """Return the model, and whether an earlier call fitted it. Write it with its record."""
    known = None if overwrite else _finished_model(folder, state)
    model = fit() if known is None else known
    _remove_results(folder)
    if known is None:
        model.save(folder / MODEL, overwrite=True)
    record = {"version": VERSION, "state": state, DIGEST: _model_digest(folder)}
    publish(json.dumps(record).encode(), folder / RECORD)
    return model, known is not None


def _finished_model(folder: Path, state: Mapping[str, Any]) -> Model | None:
    """Return the model of an earlier call, if nothing that it depends on has changed."""
    try:
        record = _read_record(folder / RECORD)
        is_same = record["state"] == state and record[DIGEST] == _model_digest(folder)
        return load_model(folder / MODEL) if is_same else None
    except (OSError, ValueError, KeyError, TypeError, ClipfeatError):
        return None


def _reused(embedded: Sequence[EmbedReport], n_fits: int, *, is_model: bool) -> dict[str, str]:
    """Describe the parts of an earlier call that are reused."""
    known = [one.progress.known for one in embedded if not one.progress.encoded]
    reused = {}
    if known:
        reused["features"] = f"{len(known)} of {len(embedded)} feature files"
    if n_fits:
        reused["benchmark"] = f"{n_fits} fits"
    if is_model:
        reused["model"] = MODEL
    return reused


def _remove_results(folder: Path) -> None:
    """Remove the results of an earlier call before the new results are written one by one.

    An interrupted call then leaves no old result beside a new one. The record is removed first. In
    `BENCHMARK`, only the file that marks the folder as complete is removed.
    """
    of_audit = (f"{AUDIT}/{name}" for name in (AUDIT_RECORD, "findings.csv", "files.csv"))
    for name in (RECORD, SUMMARY, PREDICTIONS, SUBMISSION, f"{BENCHMARK}/{RUN}", *of_audit):
        remove(folder / name)


def official_test_records(images: ImageSource) -> list[ImageRecord]:
    """List the test images of an official split, including unreadable images."""
    return [
        record for record in images if official_part(dict(record.columns).get(SPLIT, "")) == "test"
    ]


def _official_test(
    model: Model, embedded: Sequence[EmbedReport], images: ImageSource, inputs: SourceOptions
) -> Predictions | None:
    """Predict the test images of an official split from their features, without their views."""
    records = official_test_records(images)
    if not records:
        return None
    features = load(
        *(one.path for one in embedded), merge_labels=inputs.merge_labels, progress=False
    )
    test = np.zeros(len(features), dtype=np.bool_)
    if SPLIT in features.columns:
        test = official_parts(features, SPLIT) == "test"
    labelled = features.labelled()
    is_scored = bool((features.y[test] >= 0).any())
    if is_scored and len(without_test(labelled, SPLIT)) == len(labelled):
        return None  # the split cannot be used, so the images are trained on
    if "view" in features.columns:
        test &= features.columns["view"] == ORIGINAL
    paths = {record.path for record in records}
    listed = tuple(path for path in images.listed if path in paths)
    of_test = replace(images, records=records, listed=listed)
    return _predict(model, features.take(test), of_test, inputs)


def _predict(
    model: Model, features: FeatureSet, images: ImageSource, inputs: SourceOptions
) -> Predictions:
    """Predict each listed image of a source from its features. Unreadable images also get a row."""
    merge = inputs.merge_labels
    names = as_classes(features.classes, model.classes, merge=merge)
    labels = as_classes((record.label for record in images), model.classes, merge=merge)
    listed = with_frames(renamed(images, labels), inputs.frames)
    paths = {record.path for record in listed}
    failures = tuple(one for one in features.failures if record_path(one.path) in paths)
    features = replace(features.renamed_classes(names), failures=failures)
    return in_listed_rows(predictions_of(model, features, "mean", listed), listed)


def _save(training: Training, state: Mapping[str, Any]) -> None:
    """Write the predictions, the summary and the record of a run. The record is written last."""
    folder, board, entry = training.folder, training.board, training.entry
    if training.test is not None:
        table = training.test.to_pandas()
        publish(spreadsheet_csv(table).encode(), folder / PREDICTIONS)
    publish(summary_markdown(training).encode(), folder / SUMMARY)
    record = {
        "version": VERSION,
        "state": state,
        DIGEST: _model_digest(folder),
        "recipe": training.recipe.name,
        "entry": entry,
        "metric": board.metric,
        "score": board.mean[entry][board.metric],
        **_without_nan(board.standing_values(entry)),
        "test": None if training.test is None else _without_nan(training.test.scores()),
        "seconds": dict(training.seconds),
        "reused": dict(training.reused),
    }
    publish(json.dumps(record, indent=1).encode(), folder / RECORD)


def _without_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    """Replace NaN by None, because JSON has no NaN."""
    return {name: None if np.isnan(value) else value for name, value in values.items()}
