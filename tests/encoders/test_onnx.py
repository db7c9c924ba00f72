"""Tests of encoders from ONNX files: identity, input, output and errors."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import timm.data
import torch
from PIL import Image
from typer.testing import CliRunner

from clipfeat.cli import app
from clipfeat.encoders import open_encoder
from clipfeat.encoders.encoder import Encoder
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.encoders.onnx_trial import MEMORY, SECONDS, Limits, try_file
from clipfeat.errors import MissingExtraError, UsageError, WeightsError
from tests.encoders.test_contract import least_cosine, photographs
from tests.encoders.tiny_onnx import N_FEATURES, face_features, face_weights, write_face_net

SCALING = {"mean": 0.5, "std": 0.5}
OPTIONS = EncoderOptions(device="cpu", arguments=SCALING)


def opened(path: Path, **arguments: Any) -> Encoder:
    return open_encoder(f"onnx:{path}", replace(OPTIONS, arguments=SCALING | arguments))


def expected_of(**config: Any) -> Any:
    """Compute the expected rows of photographs with timm's transform and NumPy."""
    defaults: dict[str, Any] = {
        "interpolation": "bilinear", "crop_pct": 1.0, "mean": (0.5,) * 3, "std": (0.5,) * 3
    }  # fmt: skip
    transform = timm.data.create_transform((3, 28, 28), **defaults | config)
    inputs = torch.stack([transform(Image.fromarray(photo)) for photo in photographs()])
    return face_features(inputs.numpy())


@pytest.mark.parametrize(
    "file",
    [
        {},
        {"layout": "NHWC"},
        {"batch": 1},
        {"batch": 3},
        {"rows": 1},
        {"batch": 1, "layout": "NHWC"},
    ],
    ids=str,
)
def test_rows_equal_the_networks_output(file: dict[str, Any], tmp_path: Path) -> None:
    """Rows are right for any number of images, batch size and file layout."""
    encoder = opened(write_face_net(tmp_path / "face.onnx", **file))
    assert encoder.spec.layer == "feature"
    assert encoder.spec.n_features == N_FEATURES
    rows = encoder.encode_images(photographs())
    assert least_cosine(rows, expected_of()) > 0.9995
    alone = np.concatenate([encoder.encode_images([photo]) for photo in photographs()])
    assert np.allclose(rows, alone, atol=1e-4 * np.abs(rows).max())


@pytest.mark.parametrize(
    "config",
    [
        {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
        {"interpolation": "bicubic", "crop_pct": 0.875},
        {"crop_mode": "squash"},
        {"interpolation": "lanczos"},
    ],
    ids=str,
)
def test_preprocessing_follows_the_arguments(config: dict[str, Any], tmp_path: Path) -> None:
    """Arguments have the same meaning as in timm, and change the fingerprint."""
    path = write_face_net(tmp_path / "face.onnx")
    encoder = opened(path, **config)
    assert least_cosine(encoder.encode_images(photographs()), expected_of(**config)) > 0.9995
    assert encoder.spec.fingerprint != opened(path).spec.fingerprint


def test_channels_can_be_bgr(tmp_path: Path) -> None:
    """With ``channels=bgr``, the network gets blue, green and red in this order."""
    weights = face_weights()
    turned = write_face_net(
        tmp_path / "bgr.onnx", weights=weights | {"kernel": weights["kernel"][:, ::-1].copy()}
    )
    plain = opened(write_face_net(tmp_path / "rgb.onnx"))
    rows = opened(turned, channels="bgr").encode_images(photographs())
    assert np.allclose(rows, plain.encode_images(photographs()), atol=1e-4)
    assert not np.allclose(rows, opened(turned).encode_images(photographs()), atol=0.1)


def test_identity_is_the_digest_of_the_file(tmp_path: Path) -> None:
    """A copy of the file is the same encoder. Other weights are another encoder."""
    (tmp_path / "b").mkdir()
    specs = [
        opened(write_face_net(tmp_path / "face.onnx")).spec,
        opened(write_face_net(tmp_path / "b" / "face.onnx")).spec,
        opened(write_face_net(tmp_path / "face.onnx", weights=face_weights(1))).spec,
    ]
    assert specs[0] == specs[1]
    assert specs[0].fingerprint != specs[2].fingerprint
    assert specs[0].name == "onnx:face.onnx"


def test_external_tensors_are_part_of_the_identity(tmp_path: Path) -> None:
    """A changed external file gives another encoder. A file in another folder is refused."""
    path = write_face_net(tmp_path / "face.onnx", outside="face.data")
    before = opened(path)
    assert least_cosine(before.encode_images(photographs()), expected_of()) > 0.9995
    data = tmp_path / "face.data"
    data.write_bytes(data.read_bytes()[::-1])
    assert opened(path).spec.weights != before.spec.weights
    data.rename(tmp_path.parent / "face.data")
    with pytest.raises(WeightsError, match=r"'face.data', which is not in the folder of"):
        opened(path)
    model = onnx.load_model(path, load_external_data=False)
    for entry in (e for tensor in model.graph.initializer for e in tensor.external_data):
        entry.value = "../face.data" if entry.key == "location" else entry.value
    path.write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match="not in the folder of"):
        opened(path)


def test_a_file_of_any_size_needs_an_image_size(tmp_path: Path) -> None:
    """A file without a fixed input size is opened only with --image-size."""
    path = write_face_net(tmp_path / "any.onnx", size="side")
    with pytest.raises(UsageError, match="Pass --image-size"):
        opened(path)
    encoder = open_encoder(f"onnx:{path}", replace(OPTIONS, image_size=28))
    assert least_cosine(encoder.encode_images(photographs()), expected_of()) > 0.9995


@pytest.mark.parametrize(
    ("file", "change", "error", "message"),
    [
        ({}, {"arguments": None}, UsageError, "does not record the scaling"),
        ({}, {"arguments": {"mean": 0.5}}, UsageError, "does not record the scaling"),
        ({}, {"arguments": {"mean": 127.5, "std": 128}}, UsageError, "divide them by 255"),
        ({}, {"arguments": {"mean": (0.5, 0.5), "std": 0.5}}, UsageError, "one number or three"),
        ({}, {"arguments": {"mean": "x", "std": 0.5}}, UsageError, "invalid preprocessing"),
        ({}, {"arguments": SCALING | {"scale": 2}}, UsageError, "no --encoder-arg scale .it takes"),
        ({}, {"arguments": SCALING | {"crop_mode": "top"}}, UsageError, "center or squash"),
        ({}, {"arguments": SCALING | {"crop_pct": 0}}, UsageError, "crop_pct must be above 0"),
        ({}, {"arguments": SCALING | {"interpolation": "x"}}, UsageError, "invalid preprocessing"),
        ({}, {"arguments": SCALING | {"layout": "NHWC"}}, UsageError, "in the layout NHWC"),
        ({}, {"precision": "bf16"}, UsageError, "runs in fp32. Leave --precision bf16"),
        ({}, {"untrained": True}, UsageError, "Leave --untrained out"),
        ({}, {"image_size": 32}, UsageError, "28×28 pixels only"),
        ({}, {"layers": "logits"}, UsageError, "'logits'. Set --layers to map or feature"),
        ({}, {"layers": "map"}, UsageError, r"outputs are map float32\[1, 8, 7, 7\], feature"),
        ({"domain": "com.foreign"}, {}, WeightsError, "onnxruntime cannot run .*PRelu"),
        ({"flavour": "noisy"}, {}, WeightsError, "Export the model for inference"),
        ({"flavour": "mixing"}, {}, WeightsError, "Export the model for inference"),
        ({"size": "side"}, {"image_size": 40}, UsageError, "cannot run a batch"),
    ],
)  # fmt: skip
def test_unsuitable_options_and_files_are_refused(
    file: dict[str, Any],
    change: dict[str, Any],
    error: type[Exception],
    message: str,
    tmp_path: Path,
) -> None:
    """Unsuitable options and files are errors with a remedy, and nothing is guessed."""
    path = write_face_net(tmp_path / "face.onnx", **file)
    with pytest.raises(error, match=message):
        open_encoder(f"onnx:{path}", replace(OPTIONS, **change))


def test_other_files_are_refused(tmp_path: Path) -> None:
    """An image, an empty file or a missing file is an error that names the file."""
    for content in (b"\x89PNG no network", b""):
        path = tmp_path / "other.onnx"
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"other\.onnx"):
            opened(path)
    with pytest.raises(WeightsError, match=r"no such ONNX file: .*none\.onnx.* --weights FILE"):
        opened(tmp_path / "none.onnx")


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without onnxruntime, the error contains the pip command."""
    path = write_face_net(tmp_path / "face.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'clipfeat\[onnx\]'"):
        opened(path)


def test_out_of_memory_is_a_memory_error(tmp_path: Path) -> None:
    """Full memory raises MemoryError, so the caller tries a smaller batch."""
    from clipfeat.encoders.onnx_file import runner

    class Full:
        def get_inputs(self) -> list[Any]:
            return [onnx.ValueInfoProto(name="image")]

        def run(self, *_: object) -> None:
            raise RuntimeError("Failed to allocate memory for requested buffer of size 9")

    with pytest.raises(MemoryError):
        runner(Full(), None)(np.zeros((1, 3, 28, 28), np.float32))


def test_from_images_to_predictions(image_folder: Path, tmp_path: Path) -> None:
    """embed, fit and predict work. A renamed file is passed once as --weights."""
    face = write_face_net(tmp_path / "face.onnx")
    features, model, out = (tmp_path / name for name in ("f.h5", "m.clipfeat", "p.csv"))

    def run(*arguments: object) -> Any:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    scaling = ["--encoder-arg", "mean=0.5", "--encoder-arg", "std=(0.5,0.5,0.25)"]
    embedding = ["embed", image_folder, features, "-e", f"onnx:{face}", *scaling]
    assert run(*embedding).exit_code == 0
    assert run("fit", features, "--clf", "logreg", "-o", model).exit_code == 0
    elsewhere = face.rename(tmp_path / "moved.onnx")
    done = run("predict", model, image_folder, "--weights", elsewhere, "-o", out)
    assert done.exit_code == 0, done.output
    assert len(out.read_text().splitlines()) == 25
    assert run("predict", model, image_folder, "-o", tmp_path / "again.csv").exit_code == 0
    write_face_net(elsewhere, weights=face_weights(1))
    without = run("predict", model, image_folder, "-o", tmp_path / "q.csv")
    assert without.exit_code == 1
    assert "were read from the file face.onnx, which is not known on this" in without.output
    other = run("predict", model, image_folder, "--weights", elsewhere, "-o", tmp_path / "q.csv")
    assert other.exit_code == 6
    assert "weights: " in other.output
    # The same command with another file of the same name must not resume the previous run.
    write_face_net(face, weights=face_weights(2))
    assert run(*embedding).exit_code == 6


def test_number_of_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session uses one thread if there are many batches, otherwise all cores."""
    import onnxruntime

    threads = []
    make = onnxruntime.InferenceSession

    def record(path: Path, options: Any, **keywords: Any) -> Any:
        threads.append(options.intra_op_num_threads)
        return make(path, options, **keywords)

    monkeypatch.setattr(onnxruntime, "InferenceSession", record)
    encoder = opened(write_face_net(tmp_path / "face.onnx"))
    open_encoder(f"onnx:{tmp_path / 'face.onnx'}", OPTIONS, n_images=3)
    assert threads == [torch.get_num_threads(), 1]
    assert json.loads(encoder.spec.options) == {"channels": "rgb", "layout": "NCHW"}


def _edit(path: Path, change: Any) -> Path:
    model = onnx.load_model(path, load_external_data=False)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def _set_external(model: Any, key: str, value: str) -> None:
    tensor = next(one for one in model.graph.initializer if one.external_data)
    for entry in [entry for entry in tensor.external_data if entry.key == key]:
        tensor.external_data.remove(entry)
    tensor.external_data.add(key=key, value=value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("location", "../outside.data", "not in the folder"),
     ("location", "/etc/hostname", "not in the folder"),
     ("location", "link.data", "not in the folder"),
     ("location", "sub/../face.data", "not in the folder"),
     ("location", "", "not in the folder"),
     ("location", "a\0b", "not in the folder"),
     ("location", "x" * 5000, "not in the folder"),
     ("location", "fifo", "not in the folder"),
     ("length", str(2**62), "which has only"),
     ("offset", str(2**40), "which has only"),
     ("offset", "-4096", "invalid offset or length"),
     ("length", "1e9", "invalid offset or length")],
)  # fmt: skip
def test_external_tensors_stay_in_the_folder(
    key: str, value: str, message: str, tmp_path: Path
) -> None:
    """Paths of external files are checked before onnxruntime opens them."""
    folder = tmp_path / "model"
    folder.mkdir()
    path = write_face_net(folder / "face.onnx", outside="face.data")
    (tmp_path / "outside.data").write_bytes((folder / "face.data").read_bytes())
    (folder / "link.data").symlink_to("../outside.data")
    os.mkfifo(folder / "fifo")
    with pytest.raises(WeightsError, match=message):
        opened(_edit(path, lambda model: _set_external(model, key, value)))


def test_external_tensors_of_sparse_values_are_checked(tmp_path: Path) -> None:
    def change(model: Any) -> None:
        tensor = onnx.TensorProto(name="s", data_type=1, dims=[1], data_location=1)
        tensor.external_data.add(key="location", value="/etc/hostname")
        model.graph.sparse_initializer.add(values=tensor, dims=[1])

    with pytest.raises(WeightsError, match="'/etc/hostname', which is not in the folder"):
        opened(_edit(write_face_net(tmp_path / "face.onnx"), change))


def test_a_model_and_its_external_file_may_be_links(tmp_path: Path) -> None:
    """Links to another folder are accepted, because the hub's cache consists of such links."""
    for name in ("blobs", "snapshot"):
        (tmp_path / name).mkdir()
    write_face_net(tmp_path / "blobs" / "face.onnx", outside="face.data")
    for name in ("face.onnx", "face.data"):
        (tmp_path / "snapshot" / name).symlink_to(f"../blobs/{name}")
    weights = [opened(tmp_path / name / "face.onnx").spec.weights for name in ("blobs", "snapshot")]
    assert weights[0] == weights[1]


def _loop_forever(model: Any) -> None:
    """Insert a loop of 2**62 steps, each of which reads the value of the previous step."""
    helper, numbers = onnx.helper, onnx.TensorProto
    kinds = [("step", numbers.INT64), ("go", numbers.BOOL), ("before", numbers.INT64)]
    inputs = [helper.make_tensor_value_info(name, kind, []) for name, kind in kinds]
    outputs = [
        helper.make_tensor_value_info("more", numbers.BOOL, []),
        helper.make_tensor_value_info("after", numbers.INT64, []),
    ]
    nodes = [
        helper.make_node("Identity", ["go"], ["more"]),
        helper.make_node("Add", ["before", "step"], ["after"]),
    ]
    body = helper.make_graph(nodes, "body", inputs, outputs)
    values = {"n_steps": np.array(2**62), "start": np.array(0), "yes": np.array(True)}
    for name, value in values.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    loop = helper.make_node("Loop", ["n_steps", "yes", "start"], ["sum"], body=body)
    cast = helper.make_node("Cast", ["sum"], ["added"], to=numbers.FLOAT)
    add = helper.make_node("Add", ["row", "added"], ["feature"])
    del model.graph.node[-1]
    model.graph.node.extend([loop, cast, add])


def _multiply_for_minutes(model: Any) -> None:
    """Insert a product of two matrices of 1 GB each."""
    helper = onnx.helper
    shape = onnx.numpy_helper.from_array(np.array([2**14, 2**14]), "square")
    model.graph.initializer.append(shape)
    del model.graph.node[-1]
    model.graph.node.extend(
        [
            helper.make_node("ConstantOfShape", ["square"], ["zeros"]),
            helper.make_node("MatMul", ["zeros", "zeros"], ["product"]),
            helper.make_node("ReduceSum", ["product"], ["sum"], keepdims=0),
            helper.make_node("Add", ["row", "sum"], ["feature"]),
        ]
    )


def _fill_memory(model: Any) -> None:
    """Insert a tensor of 64 GiB."""
    helper = onnx.helper
    shape = onnx.numpy_helper.from_array(np.array([2**34]), "large")
    model.graph.initializer.append(shape)
    del model.graph.node[-1]
    model.graph.node.extend(
        [
            helper.make_node("ConstantOfShape", ["large"], ["zeros"]),
            helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
            helper.make_node("Add", ["row", "sum"], ["feature"]),
        ]
    )


def _multiply_often(model: Any) -> None:
    """Insert a chain of 2000 products of 4 MB matrices, which depend on the image."""
    helper = onnx.helper
    shape = onnx.numpy_helper.from_array(np.array([1000, 1000]), "square")
    model.graph.initializer.append(shape)
    del model.graph.node[-1]
    model.graph.node.extend(
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], keepdims=0),
            helper.make_node("Expand", ["mean", "square"], ["x0"]),
            *(helper.make_node("MatMul", [f"x{i}", f"x{i}"], [f"x{i + 1}"]) for i in range(2000)),
            helper.make_node("ReduceSum", ["x2000"], ["sum"], keepdims=0),
            helper.make_node("Add", ["row", "sum"], ["feature"]),
        ]
    )


def _double_often(model: Any) -> None:
    """Insert a chain of 40 operators, each of which doubles the size of its input."""
    helper = onnx.helper
    for name, value in (("one", [1]), ("two", [2])):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value), name))
    del model.graph.node[-1]
    model.graph.node.extend(
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], keepdims=0),
            helper.make_node("Reshape", ["mean", "one"], ["x0"]),
            *(helper.make_node("Tile", [f"x{i}", "two"], [f"x{i + 1}"]) for i in range(40)),
            helper.make_node("ReduceSum", ["x40"], ["sum"], keepdims=0),
            helper.make_node("Add", ["row", "sum"], ["feature"]),
        ]
    )


def _call_often(model: Any) -> None:
    """Insert functions that call each other, so that 2**30 nodes are run."""
    helper = onnx.helper
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model.opset_import.append(versions[1])
    body = [helper.make_node("Relu", ["a"], ["b"])]
    for i in range(31):
        model.functions.append(helper.make_function("own", f"f{i}", ["a"], ["b"], body, versions))
        body = [
            helper.make_node(f"f{i}", ["a"], ["c"], domain="own"),
            helper.make_node(f"f{i}", ["c"], ["b"], domain="own"),
        ]
    del model.graph.node[-1]
    model.graph.node.append(helper.make_node("f30", ["row"], ["feature"], domain="own"))


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a child process")
@pytest.mark.parametrize(
    ("change", "message"),
    [(_multiply_for_minutes, r"(takes longer than 2 s of CPU time|needs more than .* GiB)"),
     (_multiply_often, r"takes longer than 2\.0\d* s of CPU time for one batch"),
     (_double_often, r"needs more than 0\.75\d* GiB of memory for one batch"),
     (_call_often, r"(takes longer than 2 s of CPU time|needs more than .* GiB)"),
     (_fill_memory, r"needs more than 0\.75\d* GiB of memory for one batch")],
)  # fmt: skip
def test_a_file_that_hangs_or_fills_the_memory(
    change: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file first runs in a child process with limits, so it is one error."""
    monkeypatch.setattr("clipfeat.encoders.onnx_trial.SECONDS", 2)
    path = _edit(write_face_net(tmp_path / "face.onnx"), change)
    with pytest.raises(WeightsError, match=f"face.onnx {message}"):
        try_file(path, None)


def _depend_on_the_image(model: Any) -> None:
    """Insert a tensor whose size is proportional to the largest pixel."""
    helper, numbers = onnx.helper, onnx.TensorProto
    values = {"many": np.array(4e12, np.float32), "whole": np.array([1], np.int64)}
    for name, value in values.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    del model.graph.node[-1]
    model.graph.node.extend(
        [
            helper.make_node("ReduceMax", ["image"], ["largest"], keepdims=0),
            helper.make_node("Mul", ["largest", "many"], ["product"]),
            helper.make_node("Abs", ["product"], ["size"]),
            helper.make_node("Cast", ["size"], ["number"], to=numbers.INT64),
            helper.make_node("Reshape", ["number", "whole"], ["lengths"]),
            helper.make_node("ConstantOfShape", ["lengths"], ["zeros"]),
            helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
            helper.make_node("Add", ["row", "sum"], ["feature"]),
        ]
    )


def _depend_in_a_function(model: Any) -> None:
    """Compute a size that depends on the image in a function of the model."""
    _depend_on_the_image(model)
    nodes = list(model.graph.node)[-8:]
    del model.graph.node[-8:]
    versions = [*model.opset_import]
    names = ["image", "many", "whole", "row"]
    function = onnx.helper.make_function("own", "grow", names, ["feature"], nodes, versions)
    model.functions.append(function)
    model.opset_import.append(onnx.helper.make_opsetid("own", 1))
    model.graph.node.append(onnx.helper.make_node("grow", names, ["feature"], domain="own"))


def _depend_in_a_branch(model: Any) -> None:
    """Compute a size in a branch that uses values of the enclosing graph."""
    _depend_on_the_image(model)
    nodes = list(model.graph.node)[-8:]
    del model.graph.node[-8:]
    result = onnx.helper.make_tensor_value_info("feature", onnx.TensorProto.FLOAT, None)
    branch = onnx.helper.make_graph(nodes, "branch", [], [result])
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "yes"))
    choose = onnx.helper.make_node(
        "If", ["yes"], ["feature"], then_branch=branch, else_branch=branch
    )
    model.graph.node.append(choose)


def _choose_by_the_image(model: Any) -> None:
    """Insert a branch whose condition depends on the largest pixel."""
    helper, numbers = onnx.helper, onnx.TensorProto
    del model.graph.node[-1]
    result = helper.make_tensor_value_info("copy", numbers.FLOAT, None)
    branch = helper.make_graph(
        [helper.make_node("Identity", ["row"], ["copy"])], "branch", [], [result]
    )
    model.graph.node.extend(
        [
            helper.make_node("ReduceMax", ["image"], ["largest"], keepdims=0),
            helper.make_node("Cast", ["largest"], ["yes"], to=numbers.BOOL),
            helper.make_node("If", ["yes"], ["feature"], then_branch=branch, else_branch=branch),
        ]
    )


@pytest.mark.parametrize(
    ("change", "operator"),
    [(_depend_on_the_image, "ConstantOfShape"), (_depend_in_a_function, "ConstantOfShape"),
     (_depend_in_a_branch, "ConstantOfShape"), (_choose_by_the_image, "If")],
)  # fmt: skip
def test_sizes_that_depend_on_pixels_are_refused(
    change: Any, operator: str, tmp_path: Path
) -> None:
    """Tensor sizes that depend on pixels are refused, because a trial run cannot bound them."""
    path = _edit(write_face_net(tmp_path / "face.onnx"), change)
    with pytest.raises(WeightsError, match=f"has the operator {operator}, and the size of its"):
        opened(path)


def test_sizes_that_depend_on_the_shape_of_the_images_are_usual(tmp_path: Path) -> None:
    """Tensor sizes that depend only on the image shape are accepted."""

    def reshape(model: Any) -> None:
        del model.graph.node[-1]
        model.graph.node.extend(
            [
                onnx.helper.make_node("Shape", ["row"], ["row_shape"]),
                onnx.helper.make_node("Reshape", ["row", "row_shape"], ["feature"]),
            ]
        )

    path = _edit(write_face_net(tmp_path / "face.onnx"), reshape)
    assert opened(path).spec.n_features == N_FEATURES


def test_limits_grow_with_the_size_of_the_model() -> None:
    """A small model may use at most 1 GiB. The limits of large models have a maximum."""
    limits = Limits(SECONDS, MEMORY, 0)
    assert limits.memory_of(10**7) < 2**30
    assert limits.seconds_of(10**7) < 6
    assert limits.memory_of(1_200_000_000) > 7 * 2**30
    assert limits.seconds_of(10**12) == 120


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a child process")
def test_a_file_that_only_the_parser_cannot_hold(tmp_path: Path) -> None:
    """A file of 20 MB that needs 1.5 GB when it is parsed is an error."""
    graph = b"\x0a\x00" * 10_000_000
    path = tmp_path / "nodes.onnx"
    path.write_bytes(b"\x08\x09\x3a\x80\xda\xc4\x09" + graph)
    with pytest.raises(WeightsError, match=r"nodes\.onnx needs more than .* GiB .* to be parsed"):
        opened(path)


def test_loops_are_refused(tmp_path: Path) -> None:
    """Loops are refused, because a loop that ends on the trial run may not end on other images."""
    path = _edit(write_face_net(tmp_path / "face.onnx"), _loop_forever)
    with pytest.raises(WeightsError, match="has the operator Loop"):
        opened(path)


@pytest.mark.skipif(sys.platform != "linux", reason="sends a signal")
def test_a_file_that_crashes_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the child process crashes, the error names the file."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text("#!/bin/sh\nkill -SEGV $$\n")
    (tmp_path / "python").chmod(0o755)
    with pytest.raises(WeightsError, match=r"face.onnx crashes onnxruntime .signal SIGSEGV"):
        opened(write_face_net(tmp_path / "face.onnx"))
