"""Arguments of encoders that a file or ``--encoder-arg`` may set.

Other arguments of timm and open_clip can load checkpoints, download from a URL or write files. A
feature file or a model file must not be able to set such arguments, so every argument that is not
in `ARGUMENTS` is refused. A value is a flag, a number, one of several words, or a short list of
whole numbers. Numbers are limited, so that no file can request a network that does not fit into
memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from clipfeat.errors import UsageError

MAX_LENGTH = 16
"""Maximum number of values in a list."""


@dataclass(frozen=True)
class Argument:
    """Allowed values of an argument.

    Parameters
    ----------
    kind : type
        The type of the value: bool, int, float or str.
    least, most : float
        Smallest and largest allowed number.
    words : tuple of str
        Allowed values if `kind` is str.
    many : bool
        Whether a list of values is also allowed.
    """

    kind: type
    least: float = 0
    most: float = 0
    words: tuple[str, ...] = ()
    many: bool = False

    def accepts(self, value: object) -> bool:
        """Return whether a value is allowed."""
        if self.many and isinstance(value, list | tuple):
            return 0 < len(value) <= MAX_LENGTH and all(map(self._accepts_one, value))
        return self._accepts_one(value)

    def _accepts_one(self, value: object) -> bool:
        if self.kind is str:
            return isinstance(value, str) and value in self.words
        if self.kind is bool:
            return isinstance(value, bool)
        number = int if self.kind is int else (int, float)
        is_number = isinstance(value, number) and not isinstance(value, bool)
        return is_number and self.least <= value <= self.most  # type: ignore[operator]

    def __str__(self) -> str:
        if self.kind is str:
            return " or ".join(map(repr, self.words))
        if self.kind is bool:
            return "True or False"
        noun = "a whole number" if self.kind is int else "a number"
        values = f"{noun} from {self.least:g} to {self.most:g}"
        return f"{values}, or up to {MAX_LENGTH} of them" if self.many else values


def _flag() -> Argument:
    return Argument(bool)


def _count(most: int, *, many: bool = False) -> Argument:
    return Argument(int, 0, most, many=many)


def _number(most: float) -> Argument:
    return Argument(float, 0, most)


def _word(*words: str) -> Argument:
    return Argument(str, words=words)


_CONVOLUTIONAL: Mapping[str, Argument] = {
    "act_layer": _word("gelu", "gelu_tanh", "quick_gelu", "relu", "relu6", "silu", "swish",
                       "mish", "hard_swish", "leaky_relu", "elu", "selu"),
    "global_pool": _word("", "avg", "max", "avgmax", "catavgmax", "token", "map", "fast",
                         "fastavg", "fastmax", "fastavgmax", "fastcatavgmax"),
    "output_stride": _count(32),
    "pad_type": _word("", "same", "valid"),
}  # fmt: skip
"""Arguments of timm that do not change the shapes of weights."""

ARGUMENTS: Mapping[str, Mapping[str, Argument]] = {
    "spectrum": {"bins": _count(4096), "version": _count(1000)},
    "open_clip": {"quick_gelu": _flag()},
    "package": _CONVOLUTIONAL,
    "timm": {
        **_CONVOLUTIONAL,
        "base_width": _count(1024),
        "block_size": _count(64),
        "cardinality": _count(1024),
        "channel_multiplier": _number(8),
        "class_token": _flag(),
        "depth": _count(128),
        "depth_multiplier": _number(8),
        "depths": _count(128, many=True),
        "dims": _count(8192, many=True),
        "dynamic_img_pad": _flag(),
        "dynamic_img_size": _flag(),
        "embed_dim": _count(8192),
        "fc_norm": _flag(),
        "final_norm": _flag(),
        "head_hidden_size": _count(16384),
        "img_size": _count(4096, many=True),
        "init_values": _number(1),
        "layers": _count(128, many=True),
        "mlp_ratio": _number(16),
        "no_embed_class": _flag(),
        "norm_eps": _number(1),
        "num_heads": _count(256),
        "patch_size": _count(256, many=True),
        "pre_norm": _flag(),
        "qk_norm": _flag(),
        "qkv_bias": _flag(),
        "reg_tokens": _count(256),
        "stem_width": _count(1024),
        "use_fc_norm": _flag(),
        "window_size": _count(1024, many=True),
    },
    "onnx": {"channels": _word("rgb", "bgr"), "layout": _word("NCHW", "NHWC")},
}  # fmt: skip
"""Allowed arguments of each library.

Arguments of the preprocessing are not listed, because they are fields of `EncoderSpec`.
"""


def check_arguments(library: str, arguments: Mapping[str, object]) -> None:
    """Check arguments of an encoder against `ARGUMENTS`.

    Parameters
    ----------
    library : str
        Name of the library. Libraries that plug-ins add are not checked.
    arguments : mapping of str to object
        The arguments, without those of the preprocessing.

    Raises
    ------
    UsageError
        If an argument or its value is not allowed. The message lists the allowed ones.
    """
    allowed = ARGUMENTS.get(library)
    if allowed is None:
        return
    for name, value in arguments.items():
        if name not in allowed:
            raise UsageError(
                f"{library} does not allow the argument {name[:40]!r}. Use one of these: "
                f"{', '.join(allowed) or 'none'}."
            )
        if not allowed[name].accepts(value):
            raise UsageError(
                f"the argument {name} of {library} is {str(value)[:40]!r}. Set it to "
                f"{allowed[name]}."
            )
