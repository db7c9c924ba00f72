"""Command-line options for the fields of an options object of the library."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipfeat.cli.parsing import parse_seconds
from clipfeat.fits.fit_resources import FitResources

if TYPE_CHECKING:
    from clipfeat.images.source_options import SourceOptions


def expands(
    parameter: str, build: Callable[..., Any], types: Mapping[str, Any]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that replaces an options object by command-line options.

    The decorated command calls `build` with the values of the options, and passes the result to the
    original command. A new field of the options class then needs an entry in `types`, but no change
    to the commands.

    An entry of `types` may also name another parameter of the command. The command then gets the
    value of this parameter directly, and the entry only sets the option's place on the help page.

    Parameters
    ----------
    parameter : str
        Keyword-only parameter of the command that takes the options object.
    build : callable
        Class of the options object, or a function that builds it. The options have the same
        defaults as its parameters.
    types : mapping of str to type
        Annotated type of each command-line option, by parameter name, in the order of the help
        page.
    """
    built = inspect.signature(build).parameters

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(command)
        own = signature.parameters

        @wraps(command)
        def run(*args: Any, **kwargs: Any) -> Any:
            values = {n: kwargs.pop(n) for n in types if n not in own and n in kwargs}
            return command(*args, **{parameter: build(**values)}, **kwargs)

        defaults = {one.name: one.default for one in (*built.values(), *own.values())}
        options = [
            own[parameter].replace(name=name, annotation=annotation, default=defaults[name])
            for name, annotation in types.items()
        ]
        parameters: list[inspect.Parameter] = []
        for one in own.values():
            if one.name == parameter:
                parameters += options
            elif one.name not in types:
                parameters.append(one)
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate


def fit_resources(
    *,
    n_jobs: int | None = None,
    time_limit: str | None = None,
    engine: str = "local",
    address: str | None = None,
) -> FitResources:
    """Build the resources of fits. The time limit is a duration, such as ``10m``."""
    seconds = None if time_limit is None else parse_seconds(time_limit)
    return FitResources(n_jobs, seconds, engine, address)


def source_options(
    *,
    views: str | None = None,
    faces: str | None = None,
    face_margin: float = 0.3,
    face_weights: Path | None = None,
    face_detector: str | None = None,
    no_face: str = "skip",
    fps: float | None = None,
    frames: int | None = None,
    labels: Path | None = None,
    path_col: str = "",
    label_col: str = "",
    group_col: str = "",
    merge_labels: bool = False,
    image_root: Path | None = None,
    allow_remote: bool = False,
    real: list[str] | None = None,
    fake: list[str] | None = None,
    generator_level: int | None = None,
) -> "SourceOptions":
    """Build the options for reading a source. Only the call imports the image package."""
    from clipfeat.images.class_globs import ClassGlobs
    from clipfeat.images.faces import open_finder
    from clipfeat.images.manifest import TableColumns
    from clipfeat.images.source_options import SourceOptions
    from clipfeat.images.video.frames import FrameSampling

    finder = None
    if faces is not None:
        weights = str(face_weights) if face_weights else None
        finder = open_finder(faces, face_margin, weights, no_face, face_detector)
    return SourceOptions(
        labels=labels,
        columns=TableColumns(path_col, label_col, group_col),
        frames=FrameSampling(fps, frames),
        views=views,
        faces=finder,
        image_root=image_root,
        merge_labels=merge_labels,
        allow_remote=allow_remote,
        globs=ClassGlobs(tuple(real or ()), tuple(fake or ()), generator_level),
    )
