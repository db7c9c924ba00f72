"""Command-line options for the fields of an options object of the library."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import wraps
from typing import Any


def expands(
    parameter: str, kind: type, types: Mapping[str, Any]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that replaces an options object by one option per field.

    A new field of the options class then needs an entry in `types`, but no change to the commands.

    Parameters
    ----------
    parameter : str
        Parameter of the command that takes the options object.
    kind : type
        Dataclass of the options object. The options have the same defaults as its fields.
    types : mapping of str to type
        Annotated type of each command-line option, by field name, in the order of the help page.
    """
    defaults = {field.name: field.default for field in fields(kind)}

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def run(*args: Any, **kwargs: Any) -> Any:
            values = {name: kwargs.pop(name) for name in types if name in kwargs}
            return command(*args, **{parameter: kind(**values)}, **kwargs)

        signature = inspect.signature(command, eval_str=True)
        parameters: list[inspect.Parameter] = []
        for one in signature.parameters.values():
            if one.name != parameter:
                parameters.append(one)
                continue
            parameters += [
                one.replace(name=name, annotation=annotation, default=defaults[name])
                for name, annotation in types.items()
            ]
        expanded = signature.replace(parameters=parameters)
        run.__signature__ = expanded  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate
