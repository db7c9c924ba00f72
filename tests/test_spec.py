"""Tests of the identity of an encoder."""

from dataclasses import fields, replace

import pytest

from clipfeat.errors import RefusedFileError
from clipfeat.spec import EncoderSpec
from tests.conftest import make_spec


@pytest.mark.parametrize("name", [field.name for field in fields(EncoderSpec)])
def test_every_field_is_identity(name: str) -> None:
    """Changing any field changes the fingerprint, and differences() names this field."""
    spec = make_spec()
    value = getattr(spec, name)
    changed = {str: "other", bool: True, float: 0.5, int: 7, tuple: (9, 9)}[type(value)]
    other = replace(spec, **{name: changed})
    assert other.fingerprint != spec.fingerprint
    assert [line.split(":")[0] for line in spec.differences(other)] == [name]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": 1}', "null"])
def test_other_json_is_refused(text: str) -> None:
    """JSON that does not describe an encoder is refused."""
    with pytest.raises(RefusedFileError):
        EncoderSpec.from_json(text)


@pytest.mark.parametrize("widths", [(2,), (2, 2), (1, 1, 1), ("a", "b", "c")])
def test_widths_that_do_not_fit_are_refused(widths: tuple[object, ...]) -> None:
    """Widths that do not add up to the number of features are errors."""
    text = make_spec(n_features=3, layer="0/mean,last", widths=widths).to_json()
    with pytest.raises(RefusedFileError, match="not the spec of an encoder"):
        EncoderSpec.from_json(text)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("timm:test_vit", '{"cache_dir": "/tmp/x"}', "does not allow the argument 'cache_dir'"),
        ("timm:test_vit", '{"pretrained_cfg_overlay": {"url": "http://127.0.0.1/x"}}', "overlay"),
        ("timm:test_vit", '{"depth": 1000000}', "a whole number from 0 to 128"),
        ("timm:test_vit", '{"depth": [1, [2]]}', "a whole number from 0 to 128"),
        ("open_clip:RN50", '{"quick_gelu": "yes"}', "Set it to True or False"),
        ("onnx:face.onnx", '{"providers": "x"}', "Use one of these: channels, layout"),
        ("plugin:x", "[]", "options must be a JSON object"),
        ("plugin:x", "[" * 60_000, "recursion"),
    ],
)
def test_options_of_a_file_are_an_allow_list(name: str, options: str, message: str) -> None:
    """Options in a file cannot open addresses, write files or enlarge a network."""
    with pytest.raises(RefusedFileError, match=message):
        EncoderSpec.from_json(make_spec(name, options=options).to_json())


@pytest.mark.parametrize(
    "changes",
    [{"input_size": (10**30, 10**30)}, {"input_size": (32,)}, {"crop_pct": float("nan")},
     {"mean": ({"a": 1},)}, {"layer": 3}, {"untrained": "yes"}, {"precision": ("fp32",)}],
    ids=str,
)  # fmt: skip
def test_fields_of_other_types_are_refused(changes: dict[str, object]) -> None:
    """A field of a wrong type or above its limit is an error."""
    with pytest.raises(RefusedFileError, match=next(iter(changes))):
        EncoderSpec.from_json(make_spec(**changes).to_json())


@pytest.mark.parametrize(
    "changes",
    [{"crop_pct": 0}, {"crop_pct": -1.0}, {"crop_pct": 1e-9}, {"input_size": (16_384, 16_384)},
     {"input_size": (-5, 5)}, {"std": (0.0,)}, {"mean": ()},
     {"mean": (0.5,) * 9, "std": (1.0,) * 9}],
    ids=str,
)  # fmt: skip
def test_preprocessing_that_cannot_be_done_is_refused(changes: dict[str, object]) -> None:
    """Without the check, a model file causes a division by zero or fills the memory."""
    with pytest.raises(RefusedFileError, match=next(iter(changes))):
        EncoderSpec.from_json(make_spec(**changes).to_json())


def test_differences_are_short() -> None:
    """A text of a file may have 65,536 bytes."""
    (difference,) = make_spec(weights="a" * 60_000).differences(make_spec(weights="b"))
    assert len(difference) < 300
