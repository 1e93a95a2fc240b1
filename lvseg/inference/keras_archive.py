"""A `.keras` archive built without running anything that its author wrote.

Keras's own loader imports what an archive names and has been talked into running it more than once. Here the list of
layers is read as the text it is; what isn't a stock layer on our list is refused before Keras sees it, and of the rest
weights alone are loaded, once their number is known to be what the archive holds.
"""

from __future__ import annotations

import io
import json
import math
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import h5py

from lvseg.backend import keras
from lvseg.errors import DataError
from lvseg.inference.foreign import MOST_VALUES, Network

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_FILES = {_CONFIG, _WEIGHTS, "metadata.json"}
_MOST_GROUPS = 10_000
_MOST_BYTES = {_CONFIG: 2**24, "metadata.json": 2**20, _WEIGHTS: 2**30}

_LAYERS = """Activation Add Average AveragePooling2D BatchNormalization Concatenate Conv2D Conv2DTranspose Cropping2D
    Dense DepthwiseConv2D Dropout ELU Flatten GaussianDropout GaussianNoise GlobalAveragePooling1D
    GlobalAveragePooling2D GlobalMaxPooling1D GlobalMaxPooling2D GroupNormalization Identity InputLayer
    LayerNormalization LeakyReLU Maximum MaxPooling2D Minimum Multiply Normalization Permute PReLU ReLU Rescaling
    Reshape SeparableConv2D Softmax SpatialDropout2D Subtract UnitNormalization UpSampling2D ZeroPadding2D"""
_INITIALIZERS = """Constant GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform Ones Orthogonal
    RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros"""
_STOCK = {
    ("keras.src.models.functional", "Functional"),
    ("keras", "Functional"),
    ("keras", "Sequential"),
    ("keras", "DTypePolicy"),
    *(("keras.layers", name) for name in _LAYERS.split()),
    *(("keras.initializers", name) for name in _INITIALIZERS.split()),
    *(("keras.initializers", f"{name}V2") for name in ("Ones", "Zeros")),
    *(("keras.regularizers", name) for name in ("L1", "L2", "L1L2")),
    *(("keras.constraints", name) for name in ("MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm")),
}
"""What an archive may name, by module and class: nothing that runs code, opens a file or looks up a name."""


def open_keras(path: Path) -> Network:
    """The network in a `.keras` archive, ready to run; raises as `load`."""
    network = load(path)
    return Network(network.predict_on_batch, network.input_shape, network.output_shape, _last_activation(network))


def load(path: Path) -> keras.Model:
    """The network in a `.keras` archive of stock layers; raises `lvseg.DataError` for any other."""
    with zipfile.ZipFile(path) as archive:
        _check_members(path, archive)
        config = {**json.loads(archive.read(_CONFIG)), "compile_config": None}  # loss and optimiser aren't needed
        weights = archive.read(_WEIGHTS)
    _check_layers(path, config)
    network = _built(path, config, _count_weights(path, weights))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / _WEIGHTS).write_bytes(weights)
        network.load_weights(Path(folder) / _WEIGHTS)
    return network


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse an archive of other files than Keras's own, or of larger ones than a network can need."""
    members = {member.filename: member for member in archive.infolist()}
    if strange := sorted(members.keys() - _FILES):
        raise DataError(f"{path}: holds {strange[0][:80]!r}, which no network needs; save it anew by network.save")
    if lacking := sorted({_CONFIG, _WEIGHTS} - members.keys()):
        raise DataError(f"{path}: lacks {lacking[0]}; save it anew by network.save")
    for name, member in members.items():
        if member.file_size > _MOST_BYTES[name]:
            raise DataError(f"{path}: its {name} unpacks to {member.file_size} bytes; choose a smaller network")


def _check_layers(path: Path, part: Any) -> None:
    """Refuse whatever isn't plain data or a stock class under its own name."""
    if isinstance(part, dict) and "class_name" in part and part["class_name"] != "__keras_tensor__":
        name = part["class_name"]
        stock = (part.get("module"), name) in _STOCK and part.get("registered_name") in (None, name)
        if not stock:
            shown = "".join(c if c.isprintable() else "?" for c in str(name)[:60])
            raise DataError(
                f"{path}: has a {shown}, which isn't among the layers that are safe to build; export it as .onnx"
            )
    if isinstance(part, dict | list):
        for value in part.values() if isinstance(part, dict) else part:
            _check_layers(path, value)


def _count_weights(path: Path, weights: bytes) -> int:
    """How many numbers the weights' file holds; raises for links out of it and for what is declared but not stored."""
    count = 0
    with h5py.File(io.BytesIO(weights), "r") as file:
        groups: list[h5py.Group] = [file]
        for group in groups:  # which grows
            if len(groups) > _MOST_GROUPS:  # a group may be its own child
                raise DataError(f"{path}: its weights go round in circles; save it anew by network.save")
            for name in group:
                if group.get(name, getlink=True, getclass=True) is not h5py.HardLink:
                    raise DataError(f"{path}: its weights lie outside the archive; save it anew by network.save")
                item = group[name]
                if isinstance(item, h5py.Group):
                    groups.append(item)
                    continue
                if item.external or item.is_virtual or item.nbytes > 10 * len(weights):
                    raise DataError(f"{path}: its weights aren't in the archive; save it anew by network.save")
                count += item.size
    return count


def _built(path: Path, config: dict[str, Any], stored: int) -> keras.Model:
    """The network, its variables made only once they are known to be no more than are stored."""
    try:
        with keras.StatelessScope(initialize_variables=False):
            network = keras.saving.deserialize_keras_object(config, safe_mode=True)
            declared = sum(math.prod(variable.shape) for variable in network.weights)
            if declared > stored:
                raise DataError(f"{path}: declares {declared} weights and holds {stored}; restore it from its source")
            _check_arrays(path, network)
    except BaseException:
        _common().global_state.set_global_attribute(
            "uninitialized_variables", []
        )  # never made, whatever asks for them next
        raise
    _common().variables.initialize_all_variables()
    return network


def _common() -> Any:
    """Where Keras keeps the variables that a `StatelessScope` left unmade; it has no public name."""
    return keras.src.backend.common


def _check_arrays(path: Path, network: keras.Model) -> None:
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise DataError(
            f"{path}: has {len(network.inputs)} inputs and {len(network.outputs)} outputs; save it with one of each"
        )
    for layer in network._flatten_layers(include_self=False):
        for node in layer._inbound_nodes:
            for tensor in node.output_tensors:
                if math.prod(length or 1 for length in tensor.shape) > MOST_VALUES:
                    shape = " x ".join(str(length or "any") for length in tensor.shape)
                    raise DataError(f"{path}: computes an array of {shape}; choose a smaller network")


def _last_activation(network: keras.Model) -> str:
    layer = network.outputs[0]._keras_history.operation
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    return getattr(getattr(layer, "activation", None), "__name__", "")
