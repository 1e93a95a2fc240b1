"""Opening a network's file without trusting it: what it declares is compared with what it holds before it is built.

An `.onnx` file is run by OpenVINO, a `.keras` file by Keras. Neither may reach out of its folder, or ask for memory
that its own size doesn't explain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from lvseg.errors import ConfigError, DataError, LvsegError
from lvseg.inference.foreign import MOST_VALUES, Network, Shape

Precision = Literal["float32", "bfloat16"]
_MOST_BYTES = 2**30
_OTHERWISE = {
    ".h5": "is in Keras's old format; open it there and save it as .keras",
    ".hdf5": "is in Keras's old format; open it there and save it as .keras",
    ".pt": "holds PyTorch's weights; export the network by torch.onnx.export and name that .onnx file",
    ".pth": "holds PyTorch's weights; export the network by torch.onnx.export and name that .onnx file",
}


def open_network(path: Path, precision: Precision = "float32", trusted: bool = False) -> Network:
    """The network in an `.onnx` or `.keras` file; of a `trusted` one, which is ours, the contents aren't looked at.

    Raises `lvseg.DataError` for a file of another kind, that is damaged, or that isn't what it should be;
    `lvseg.ConfigError` for bfloat16 with a `.keras` file.
    """
    check_ending(path)
    if path.suffix == ".keras" and precision != "float32":
        raise ConfigError(f"{path}: only an .onnx file or a run's folder can be used with precision {precision}")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path}: is larger than {_MOST_BYTES} bytes; choose a smaller network")
        if path.suffix == ".keras":
            from lvseg.inference.keras_archive import open_keras  # only here: Keras takes seconds and half a gigabyte

            return open_keras(path)
        activation = "" if trusted else _checked_onnx(path)
        return open_onnx(path, precision)._replace(activation=activation)
    except LvsegError:
        raise
    except Exception as error:  # the libraries raise many types for a broken file
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: can't be loaded as a network ({reason}); restore it") from None


def check_ending(path: Path) -> None:
    """Refuse what is no `.onnx` or `.keras` file, with the way to one."""
    if path.is_dir():
        if (path / "saved_model.pb").exists():
            raise DataError(
                f"{path}: is a TensorFlow SavedModel; save the network as .keras or .onnx and name that file"
            )
        raise DataError(
            f"{path}: holds no weights.onnx, so it isn't a finished run; name one, or an .onnx or .keras file"
        )
    if path.suffix not in (".onnx", ".keras") and not path.exists():
        raise DataError(f"{path}: there is no such file or folder; name a finished run, or an .onnx or .keras file")
    if path.name.endswith(".weights.h5"):
        raise DataError(f"{path}: holds weights without their network; save the whole network as .keras")
    if path.suffix not in (".onnx", ".keras"):
        other = _OTHERWISE.get(path.suffix.lower(), "is no .onnx or .keras file; export the network as one")
        raise DataError(f"{path}: {other}")


def open_onnx(path: Path, precision: Precision) -> Network:
    """The network in an `.onnx` file, run by OpenVINO."""
    import openvino

    hints = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32", "PERFORMANCE_HINT": "LATENCY"}
    network = openvino.Core().compile_model(path, "CPU", hints)
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise DataError(
            f"{path}: has {len(network.inputs)} inputs and {len(network.outputs)} outputs; export it with one of each"
        )
    source, target = (_lengths(end.partial_shape) for end in (network.input(), network.output()))
    return Network(lambda images: network([images])[0], source, target, "")


def _lengths(shape: Any) -> Shape:
    """OpenVINO's shape; none at all where even the number of axes is free."""
    if shape.rank.is_dynamic:
        return ()
    return tuple(None if length.is_dynamic else length.get_length() for length in shape)


def _checked_onnx(path: Path) -> str:
    """Refuse an ONNX file that declares more than it holds or reads elsewhere; returns its last activation."""
    import onnx  # only here: it takes as long as the network itself

    model = onnx.load(path, load_external_data=False)
    for tensor in _tensors(model):
        _check_tensor(path, tensor)
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        lengths = [axis.dim_value or 1 for axis in value.type.tensor_type.shape.dim]
        if math.prod(lengths) > MOST_VALUES:
            raise DataError(f"{path}: computes an array of {' x '.join(map(str, lengths))}; choose a smaller network")
    made_by = {name: node for node in model.graph.node for name in node.output}
    node = made_by.get(model.graph.output[0].name)
    while node is not None and node.op_type in ("Transpose", "Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze"):
        node = made_by.get(node.input[0])
    return node.op_type.lower() if node is not None else ""


def _tensors(message: Any) -> Iterator[Any]:
    """All tensors anywhere in an ONNX model: constants, attributes, those of functions and branches."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if hasattr(value, "__len__") else [value]:
                if field.message_type.name == "TensorProto":
                    yield part
                yield from _tensors(part)


def _check_tensor(path: Path, tensor: Any) -> None:
    declared = math.prod(tensor.dims)
    if min(tensor.dims, default=0) < 0:
        raise DataError(f"{path}: declares a tensor of negative length; restore it")
    if tensor.data_location != tensor.EXTERNAL:
        held = 2 * tensor.ByteSize()  # no type takes less than half a byte
    else:
        told = {entry.key: entry.value for entry in tensor.external_data}
        file = path.parent / told.get("location", "")
        if not file.resolve().is_relative_to(path.parent.resolve()):
            raise DataError(f"{path}: reads its weights outside its folder; save the network in one file")
        if not file.is_file():
            raise DataError(f"{path}: keeps its weights in {file.name}, which isn't beside it; put it there")
        held = 2 * file.stat().st_size
    if declared > held:
        shape = " x ".join(map(str, tensor.dims))
        raise DataError(f"{path}: declares {shape} weights and holds fewer; restore it from its source")
