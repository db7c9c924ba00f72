"""Tests of the identity of an encoder."""

from dataclasses import fields, replace

import pytest

from clipfeat.errors import RefusedFileError
from clipfeat.spec import EncoderSpec
from tests.conftest import make_spec


@pytest.mark.parametrize("name", [field.name for field in fields(EncoderSpec)])
def test_every_field_is_identity(name: str) -> None:
    """A change of any field changes the fingerprint, and differences() names the field."""
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
    """Widths that do not add up to the number of features are refused."""
    text = make_spec(n_features=3, layer="0/mean,last", widths=widths).to_json()
    with pytest.raises(RefusedFileError, match="not an encoder's description"):
        EncoderSpec.from_json(text)
