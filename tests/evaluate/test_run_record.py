"""Tests of the record of a run."""

import json
from dataclasses import fields, replace
from inspect import signature

import numpy as np

from clipfeat.evaluate import KFold, TrainTest, benchmark
from clipfeat.evaluate.run_record import NOT_OPTIONS
from clipfeat.fits.fit_resources import FitResources
from clipfeat.zoo.fit_options import FitOptions
from tests.conftest import make_features


def test_every_argument_is_recorded() -> None:
    """Every parameter and every field of an options object is recorded."""
    options = FitOptions(threshold="accuracy", accelerate=False)
    about = benchmark(make_features(), "dummy", protocol=3, options=options).about
    recorded = about["options"]
    arguments = set(signature(benchmark).parameters) - {*NOT_OPTIONS, "options", "resources"}
    of_objects = {field.name for kind in (FitOptions, FitResources) for field in fields(kind)}
    of_protocol = {f"protocol.{field.name}" for field in fields(KFold)}
    assert set(recorded) == arguments | of_objects | of_protocol
    assert (recorded["clf"], recorded["threshold"]) == (["dummy"], "accuracy")
    assert about["acceleration"] == {"device": "cpu", "library": "scikit-learn"}
    assert about["command"].startswith("clipfeat.benchmark(features, clf=['dummy'], protocol=KFold")
    assert about["versions"]["python"] and about["versions"]["numpy"]
    json.dumps(about)


def test_the_protocol_in_use_is_recorded() -> None:
    """A default protocol is recorded by name, and a separate test set by its fingerprint."""
    data, test = make_features(), make_features(seed=1)
    run = benchmark(data, "dummy")
    assert run.about["options"]["protocol"] == KFold.__name__
    test = replace(test, keys=np.char.replace(test.keys, b"0", b"f"))
    about = benchmark(data, "dummy", protocol=TrainTest(test)).about
    assert len(about["options"]["protocol.test"]) == 32
    assert about["data_fingerprint"] != run.about["data_fingerprint"]
