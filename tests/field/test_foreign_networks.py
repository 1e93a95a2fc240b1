"""Networks that were made elsewhere segment as ours do, or both shapes are said; what is hostile isn't even built."""

from __future__ import annotations

import io
import json
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lvseg import files
from lvseg.backend import keras, layers
from lvseg.errors import ConfigError, DataError
from lvseg.inference import foreign, keras_archive, opened
from lvseg.inference.segmenter import SHIPPED, Segmenter
from tests.inference.support import TRUTH, dice, ellipse, grey, threshold_network
from tests.support import lvseg

SIDE = 64
PICTURES = [grey(TRUTH), grey(ellipse((120, 100), (60, 50), (40, 25))), grey(TRUTH[:, ::-1])]


def as_onnx(path: Path, source: list, target: list, ends: Callable[[str], list], channel: int = 1) -> Path:
    """40 x - 20 of the channels' mean, then `ends`, the nodes from `linear` to `out`; channels lie along `channel`."""
    nodes = [
        helper.make_node("ReduceMean", ["image", "axis"], ["mean"], keepdims=1),
        helper.make_node("Mul", ["mean", "forty"], ["steep"]),
        helper.make_node("Sub", ["steep", "twenty"], ["linear"]),
        *ends("linear"),
    ]
    constants = [
        numpy_helper.from_array(np.array([channel], np.int64), "axis"),
        numpy_helper.from_array(np.float32(40), "forty"),
        numpy_helper.from_array(np.float32(20), "twenty"),
    ]
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)]
        for name, shape in (("image", source), ("out", target))
    )
    graph = helper.make_graph(nodes, "net", inputs, outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def sigmoid(name: str) -> list:
    return [helper.make_node("Sigmoid", [name], ["out"])]


def logit(name: str) -> list:
    return [helper.make_node("Identity", [name], ["out"])]


def two_logits(name: str) -> list:
    return [helper.make_node("Neg", [name], ["rest"]), helper.make_node("Concat", ["rest", name], ["out"], axis=1)]


def softmax(name: str) -> list:
    both = two_logits(name)
    both[1].output[0] = "both"
    return [*both, helper.make_node("Softmax", ["both"], ["out"], axis=1)]


def squeezed(name: str) -> list:
    return [helper.make_node("Sigmoid", [name], ["p"]), helper.make_node("Squeeze", ["p", "axis"], ["out"])]


def fitting(weights: Path, **told: Any) -> Segmenter:
    files.write_json(weights.with_suffix(".json"), {"size": SIDE, "channels": 1, "clahe": "none", **told})
    return Segmenter.load(weights)


def right(segmenter: Segmenter) -> bool:
    found = list(segmenter.masks(PICTURES))
    truths = [picture > 127 for picture in PICTURES]
    return len(found) == len(truths) and all(dice(a, b) > 0.96 for a, b in zip(found, truths, strict=True))


FIRST, ONE = ["n", 1, SIDE, SIDE], [1, 1, SIDE, SIDE]


@pytest.mark.parametrize(
    ("source", "target", "ends", "told"),
    [
        (FIRST, FIRST, sigmoid, {}),
        (ONE, ONE, sigmoid, {}),
        ([2, 1, SIDE, SIDE], [2, 1, SIDE, SIDE], sigmoid, {}),
        (["n", 1, "h", "w"], ["n", 1, "h", "w"], sigmoid, {}),
        (["n", 3, SIDE, SIDE], FIRST, sigmoid, {"channels": 3}),
        (FIRST, FIRST, logit, {"output": "logit"}),
        (FIRST, ["n", 2, SIDE, SIDE], softmax, {}),
        (FIRST, ["n", 2, SIDE, SIDE], two_logits, {"output": "logit"}),
        (ONE, [1, SIDE, SIDE], squeezed, {}),
    ],
)
def test_onnx_files_of_any_batch_order_and_output_segment(tmp_path, source, target, ends, told):
    assert right(fitting(as_onnx(tmp_path / "net.onnx", source, target, ends), **told))


def test_channels_may_come_last_with_a_batch_of_one(tmp_path):
    shape = [1, SIDE, SIDE, 1]
    assert right(fitting(as_onnx(tmp_path / "net.onnx", shape, shape, sigmoid, channel=3)))


def test_grey_levels_are_scaled_as_the_description_says(tmp_path):
    def from_256(name: str) -> list:  # 40 x - 20 of 0..255 is 40 * 255 (x' - 0.5) + 40 * 127.5 - 20
        shift = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.float32(40 * 127.5 - 20)))
        return [shift, helper.make_node("Sub", [name, "c"], ["l"]), helper.make_node("Sigmoid", ["l"], ["out"])]

    weights = as_onnx(tmp_path / "net.onnx", FIRST, FIRST, from_256)
    assert right(fitting(weights, black=0, white=255)) and not right(fitting(weights))


def save(network: keras.Model, path: Path) -> Path:
    network.save(path)
    return path


def a_keras_net(shape: tuple, outputs: int = 1, activation: str = "sigmoid", batch: int | None = None) -> keras.Model:
    order = "channels_first" if shape[0] == 1 and len(shape) == 3 and shape[1] != 1 else "channels_last"
    inputs = keras.Input(shape, batch_size=batch)
    layer = layers.Conv2D(outputs, 1, data_format=order)
    out = layer(inputs)
    out = out if activation == "linear" else layers.Activation(activation)(out)
    kernel = np.full((1, 1, 1, outputs), 40, np.float32)
    bias = np.full(outputs, -20, np.float32)
    if outputs == 2:
        kernel[..., 0], bias[0] = -40, 20
    layer.set_weights([kernel, bias])
    return keras.Model(inputs, out)


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (lambda: a_keras_net((SIDE, SIDE, 1)), {}),
        (lambda: a_keras_net((None, None, 1)), {}),
        (lambda: a_keras_net((SIDE, SIDE, 1), batch=4), {}),
        (lambda: a_keras_net((1, SIDE, SIDE)), {}),
        (lambda: a_keras_net((SIDE, SIDE, 1), 2, "softmax"), {}),
        (lambda: a_keras_net((SIDE, SIDE, 1), activation="linear"), {"output": "logit"}),
    ],
    ids=["plain", "any size", "batch of four", "channels first", "two classes", "logit"],
)
def test_keras_files_of_any_batch_order_and_output_segment(tmp_path, network, told):
    assert right(fitting(save(network(), tmp_path / "net.keras"), **told))


@pytest.mark.parametrize(("told", "said"), [({"size": 96}, ["64 x 64 x 1", "96 x 96"]), ({"channels": 3}, ["3 chan"])])
@pytest.mark.parametrize("ending", ["onnx", "keras"])
def test_what_does_not_fit_is_said_with_both_shapes(tmp_path, told, said, ending):
    if ending == "onnx":
        shape = ["n", SIDE, SIDE, 1]
        weights = as_onnx(tmp_path / "net.onnx", shape, shape, sigmoid, channel=3)
    else:
        weights = save(threshold_network(SIDE), tmp_path / "net.keras")
    with pytest.raises(DataError) as refused:
        fitting(weights, **told)
    assert all(part in str(refused.value) for part in [*said, "64 x 64 x 1", "net.json"])


def test_logits_are_not_taken_for_probabilities(tmp_path):
    with pytest.raises(DataError, match=r'no probabilities.*"output": "logit"'):
        right(fitting(as_onnx(tmp_path / "net.onnx", FIRST, FIRST, logit)))


def test_a_classifier_is_refused_and_more_classes_want_a_number(tmp_path):
    inputs = keras.Input((SIDE, SIDE, 1))
    classifier = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(inputs)))
    with pytest.raises(DataError, match="gives 2 for an image of 64 x 64"):
        fitting(save(classifier, tmp_path / "net.keras"))
    four = keras.Model(inputs, layers.Conv2D(4, 1, activation="softmax")(inputs))
    with pytest.raises(DataError, match=r'4 classes.*"lv_class"'):
        fitting(save(four, tmp_path / "four.keras"))
    assert fitting(tmp_path / "four.keras", lv_class=1)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("net.h5", "save it as .keras"),
        ("net.weights.h5", "weights without their network"),
        ("net.pt", "torch.onnx.export"),
        ("net.tflite", "no .onnx or .keras"),
    ],
)
def test_other_kinds_of_file_are_named_with_the_way_out(tmp_path, name, said):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=said):
        Segmenter.load(tmp_path / name)
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").touch()
    with pytest.raises(DataError, match="SavedModel"):
        Segmenter.load(tmp_path / "saved")


def test_describe_writes_what_the_file_tells(tmp_path):
    weights = as_onnx(tmp_path / "net.onnx", ["n", 3, 128, 128], ["n", 1, 128, 128], logit)
    done = lvseg("weights", "describe", weights)
    told = json.loads((tmp_path / "net.json").read_text())
    assert done.returncode == 0 and str(tmp_path / "net.json") in done.stdout
    assert (told["size"], told["channels"], told["output"], told["clahe"]) == (128, 3, "logit", "none")
    assert Segmenter.load(weights).experiment.size == 128
    assert lvseg("weights", "describe", weights).returncode == 2  # it is there already
    cv2.imwrite(str(tmp_path / "a.png"), grey(TRUTH))
    done = lvseg("predict", tmp_path / "a.png", "--weights", weights, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr


def test_describe_asks_for_what_it_cannot_know(tmp_path):
    free = opened.open_network(as_onnx(tmp_path / "net.onnx", ["n", 1, "h", "w"], ["n", 1, "h", "w"], softmax))
    with pytest.raises(ConfigError, match="--size"):
        foreign.describe(free, tmp_path / "net.onnx", None)
    assert foreign.describe(free, tmp_path / "net.onnx", 96).output == "probability"
    with pytest.raises(ConfigError, match="can't be 96"):
        foreign.describe(free._replace(source=(None, 1, 64, 64)), tmp_path / "net.onnx", 96)


@pytest.mark.parametrize("told", [{"size": 5}, {"size": 64, "output": "magic"}, {"size": 64, "threshold": 2}, {}])
def test_a_wrong_description_is_refused_by_name(tmp_path, told):
    files.write_json(tmp_path / "net.json", told)
    with pytest.raises(DataError, match=r"net\.json"):
        foreign.read_description(tmp_path / "net.json")


def test_the_shipped_network_is_not_looked_through(monkeypatch):
    monkeypatch.setattr(opened, "_checked_onnx", lambda path: pytest.fail("it is ours"))
    assert Segmenter.load(SHIPPED)


# Hostile archives: none of them may run anything, read anything elsewhere, or take memory.


def spoilt(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A sound archive whose members are changed."""
    save(threshold_network(SIDE), path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")
        for name, content in members.items():
            archive.writestr(name, content)
    files.write_json(path.with_suffix(".json"), {"size": SIDE, "channels": 1})
    return path


def layer(**changes: Any) -> Callable[[dict[str, bytes]], None]:
    """The Conv2D of the archive under other names."""

    def change(members: dict[str, bytes]) -> None:
        config = json.loads(members["config.json"])
        config["config"]["layers"][1] |= changes
        members["config.json"] = json.dumps(config).encode()

    return change


def setting(**changes: Any) -> Callable[[dict[str, bytes]], None]:
    """Other settings of the archive's Conv2D."""

    def change(members: dict[str, bytes]) -> None:
        config = json.loads(members["config.json"])
        config["config"]["layers"][1]["config"] |= changes
        members["config.json"] = json.dumps(config).encode()

    return change


def weights_file(write: Callable[[h5py.File], None]) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        buffer = io.BytesIO(members["model.weights.h5"])
        with h5py.File(buffer, "a") as file:
            write(file)
        members["model.weights.h5"] = buffer.getvalue()

    return change


def _first_group(file: h5py.File) -> h5py.Group:
    return next(group for group in file["layers"].values() if len(group["vars"]))["vars"]


def _link(file: h5py.File) -> None:
    group = _first_group(file)
    del group["0"]
    group["0"] = h5py.ExternalLink("/etc/passwd", "/")


def _shape_bomb(file: h5py.File) -> None:
    group = _first_group(file)
    del group["0"]
    group.create_dataset("0", (10**6, 10**6), "f4", chunks=(1000, 1000), compression="gzip")


def _circle(file: h5py.File) -> None:
    file["layers/again"] = file["layers"]


def _external(file: h5py.File) -> None:
    group = _first_group(file)
    del group["0"]
    group.create_dataset("0", (10,), "u1", external=[("/etc/passwd", 0, 10)])


MARK = "import os; os.environ['LVSEG_HOSTILE'] = 'ran'"
HOSTILE = {
    "Lambda": layer(class_name="Lambda", config={"name": "l", "function": {"class_name": "__lambda__", "config": {}}}),
    "TFSMLayer": layer(class_name="TFSMLayer", config={"filepath": "/tmp/saved", "call_endpoint": "serve"}),
    "module": layer(module="os", class_name="system"),
    "module of numpy": layer(module="numpy", class_name="load"),
    "registered name": layer(registered_name="Evil>Conv2D"),
    "function": setting(activation={"module": "builtins", "class_name": "function", "config": "exec"}),
    "lambda as initialiser": setting(kernel_initializer={"class_name": "__lambda__", "config": {"value": MARK}}),
    "nested in a list": setting(kernel_size=[{"module": "builtins", "class_name": "eval", "config": {}}, 1]),
    "typespec": setting(dtype={"class_name": "__typespec__", "spec_name": "X", "module": "os", "config": []}),
    "no module": setting(kernel_initializer={"class_name": "Zeros", "config": {}}),
    "leads out": lambda members: members.update({"../evil.txt": b"x"}),
    "absolute": lambda members: members.update({"/tmp/evil.txt": b"x"}),
    "assets": lambda members: members.update({"assets/layers/x.txt": b"x"}),
    "zip bomb": lambda members: members.update({"config.json": b" " * (2**24 + 1)}),
    "deep JSON": lambda members: members.update({"config.json": b"[" * 10**5}),
    "many weights": setting(filters=10**9),
    "external link": weights_file(_link),
    "external storage": weights_file(_external),
    "shape bomb": weights_file(_shape_bomb),
    "circle": weights_file(_circle),
    "no weights": lambda members: members.pop("model.weights.h5"),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_archive_is_refused_in_one_sentence(tmp_path, change):
    path = spoilt(tmp_path / "net.keras", change)
    with pytest.raises(DataError, match=r"net\.keras") as refused:
        Segmenter.load(path)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400
    assert "LVSEG_HOSTILE" not in os.environ and not (tmp_path.parent / "evil.txt").exists()
    right_after = spoilt(tmp_path / "good.keras", lambda members: None)
    assert Segmenter.load(right_after)  # nothing of the refused one is left behind


@pytest.mark.parametrize("name", ["Lambda", "module", "registered name"])
def test_it_is_the_list_of_layers_that_refuses(tmp_path, name, monkeypatch):
    """Without it the archive reaches Keras, which then alone decides."""
    reached = []
    monkeypatch.setattr(keras_archive, "_check_layers", lambda *_: None)
    monkeypatch.setattr(keras_archive, "_built", lambda *_: reached.append(1) or 1 / 0)
    with pytest.raises(DataError):
        Segmenter.load(spoilt(tmp_path / "net.keras", HOSTILE[name]))
    assert reached


def spoil_tensor(change: Callable[[onnx.TensorProto], None]) -> Callable[[onnx.ModelProto], None]:
    return lambda model: change(model.graph.initializer[1])


def _elsewhere(location: str) -> Callable[[onnx.TensorProto], None]:
    def change(tensor: onnx.TensorProto) -> None:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    return change


def _huge(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([2**20, 2**12], np.int64), "huge"))
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["huge"], ["filled"]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (spoil_tensor(_elsewhere("../secret.bin")), "outside its folder"),
        (spoil_tensor(_elsewhere("/etc/passwd")), "outside its folder"),
        (spoil_tensor(_elsewhere("gone.bin")), "gone.bin"),
        (spoil_tensor(lambda tensor: tensor.dims.extend([10**6, 10**6])), "holds fewer"),
        (spoil_tensor(lambda tensor: tensor.dims.extend([-1])), "negative"),
        (_huge, "1048576 x 4096"),
    ],
)
def test_a_hostile_onnx_file_is_refused_in_one_sentence(tmp_path, change, said):
    weights = as_onnx(tmp_path / "net.onnx", FIRST, FIRST, sigmoid)
    model = onnx.load(weights)
    change(model)
    weights.write_bytes(model.SerializeToString())
    (tmp_path.parent / "secret.bin").write_bytes(b"\0" * 100)
    with pytest.raises(DataError, match=said):
        fitting(weights)


def _fails(weights: Path, **told: Any) -> bool:
    try:
        return not right(fitting(weights, **told))
    except Exception:  # whatever a library says of arrays that it can't take
        return True


@pytest.mark.parametrize(
    ("build", "rule", "off"),
    [
        (
            lambda root: as_onnx(root / "net.onnx", ONE, ONE, sigmoid),
            "_in_batches",
            lambda run, images, fixed: run(images),
        ),
        (lambda root: as_onnx(root / "net.onnx", FIRST, FIRST, sigmoid), "_place", lambda *_: (-1, 0)),
        (
            lambda root: save(a_keras_net((SIDE, SIDE, 1), 2, "softmax"), root / "net.keras"),
            "_place",
            lambda *_: (-1, 0),
        ),
    ],
    ids=["ONNX of a fixed batch", "ONNX with channels first", "Keras of two classes"],
)
def test_each_rule_is_what_makes_a_foreign_network_fit(tmp_path, build, rule, off, monkeypatch):
    weights = build(tmp_path)
    assert right(fitting(weights))
    monkeypatch.setattr(foreign, rule, off)
    assert _fails(weights)
