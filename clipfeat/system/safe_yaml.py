"""Parsing of YAML text that may come from a stranger."""

from typing import Any

MAX_DEPTH = 32
"""Largest number of nested lists and objects."""


def parse_yaml(text: str) -> Any:
    """Parse YAML. Refuse a text that could need much time or memory.

    Raises
    ------
    ValueError
        If the text has aliases or is nested too deeply.
    yaml.YAMLError
        If the text is not valid.
    """
    import yaml

    depth = 0
    for token in yaml.scan(text):
        kind = type(token).__name__
        depth += kind.endswith(("SequenceStartToken", "MappingStartToken"))
        depth -= kind.endswith(("BlockEndToken", "SequenceEndToken", "MappingEndToken"))
        # With aliases and merge keys, a few lines can describe more values than fit into memory.
        if isinstance(token, yaml.AliasToken):
            raise ValueError("YAML aliases such as *name are not supported, so repeat the values")
        if depth > MAX_DEPTH:  # PyYAML needs quadratic time for nested brackets
            raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
    return yaml.safe_load(text)
