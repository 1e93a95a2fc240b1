"""The networks against Table 1, against pinned parameter counts, and in a process without lvseg."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import typing

import numpy as np
import psutil
import pytest
from scipy.special import expit

from lvseg import blocks, losses, networks, paper
from lvseg.backend import keras
from lvseg.errors import ConfigError
from lvseg.experiment import NetworkConfig
from lvseg.figures import diagrams, graph, plots

SMALL = {"width": 4, "size": 32, "channels": 1}


def built(**choices) -> keras.Model:
    return networks.build(NetworkConfig.of(**choices))


@pytest.fixture(scope="module")
def full() -> keras.Model:
    """The improved ResUNet as published: width 64, 256x256x3."""
    return networks.blueprint(NetworkConfig.of(model="improved_resunet"))


def numbers(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def test_table1_row_for_row(full):
    rows = graph.table1(full)
    assert len(rows) == 14
    for ours, theirs in zip(rows, paper.TABLE_1, strict=True):
        assert ours == theirs


def test_table1_notices_another_network():
    """The walk reads the built graph: a narrower one, or one without strides, can't pass for the paper's."""
    rows = graph.table1(networks.blueprint(NetworkConfig.of(model="improved_resunet", width=32)))
    assert sum(ours == theirs for ours, theirs in zip(rows, paper.TABLE_1, strict=True)) == 0


def test_table1_of_blocks_of_two_convolutions():
    """Zhang's network has Table 1's shapes, but two kernels in each block, of which the first samples."""
    rows = graph.table1(built(model="resunet", wiring="two_convolutions", size=64, width=16))
    for ours, theirs in zip(rows, paper.TABLE_1, strict=True):
        narrow = (theirs.output[0] // 4, theirs.output[1] // 4, max(theirs.output[2] // 4, 1))
        assert (ours.name, ours.output) == (theirs.name, narrow)
        if ours.kernels:
            assert (ours.kernels, ours.strides) == ((3, 3), (theirs.strides[2], 1))


def test_zhang_leaves_the_image_as_it_is():
    first, second = (
        {
            box.label
            for box in diagrams.block_diagram(built(model="resunet", wiring="two_convolutions", **SMALL), number)
        }
        for number in (1, 2)
    )
    assert {"BN", "ReLU", "3x3 conv"} <= first and {"BN", "ReLU", "3x3 conv, stride 2"} <= second
    network = built(model="resunet", wiring="two_convolutions", **SMALL)
    assert graph.parents(network.get_layer("resblock_1_conv1")) == ["image"]
    assert graph.parents(network.get_layer("resblock_2_conv1")) == ["resblock_2_1_activation"]


def test_table1_is_not_about_unet():
    with pytest.raises(ConfigError, match="Table 1 describes residual blocks, and unet has none"):
        graph.table1(built(model="unet", **SMALL))


PARAMETERS = [
    # choices, at width 64 with 3 channels, at width 8 with 1 channel
    ({"model": "unet"}, 31_402_497, 493_937),
    ({"model": "resunet"}, 48_857_037, 767_709),
    ({"model": "resunet", "wiring": "two_convolutions"}, 33_150_017, 521_961),
    ({"model": "improved_resunet"}, 53_137_441, 835_079),
]


@pytest.mark.parametrize(("choices", "at_64", "at_8"), PARAMETERS, ids=str)
def test_parameter_counts_are_those_by_hand(choices, at_64, at_8):
    assert by_hand(choices, 64, 3) == at_64
    assert by_hand(choices, 8, 1) == at_8
    assert built(**choices, width=8, size=16, channels=1).count_params() == at_8
    assert networks.blueprint(NetworkConfig.of(**choices)).count_params() == at_64


def test_a_blueprint_is_the_network_but_for_its_memory():
    """Also once another network was made: at width 256 the weights would take 3.4 GB."""
    drawn, network = networks.blueprint(NetworkConfig.of(**SMALL)), built(**SMALL)
    assert drawn.get_config() == network.get_config()
    assert [w.shape for w in drawn.weights] == [w.shape for w in network.weights]
    process = psutil.Process()
    before = process.memory_info().rss
    wide = networks.blueprint(NetworkConfig.of(width=256))
    built(**SMALL)
    assert 4 * wide.count_params() > 3.3e9 and process.memory_info().rss - before < 0.5e9


def by_hand(choices: dict, width: int, channels: int) -> int:
    """Parameters of a network: every convolution k*k*in*out + out, every batch normalisation 4 per channel."""

    def conv(kernel, channels_in, out):
        return kernel * kernel * channels_in * out + out

    def unet_block(channels_in, out, encoder):
        return conv(3, channels_in, out) + conv(3, out, out) + 2 * 4 * out

    def two_stage_block(channels_in, out, encoder):
        stages = 4 * channels_in + conv(3, channels_in, out) + 4 * out + conv(3, out, out)
        return stages + conv(1, channels_in, out) + encoder * improved * inception(out) + conv(3, out, out)

    def zhang_block(channels_in, out, encoder):
        unit = 4 * channels_in * (channels_in != channels) + conv(3, channels_in, out) + 4 * out + conv(3, out, out)
        return unit + conv(1, channels_in, out)

    def inception(out):
        quarter = out // 4
        return 4 * conv(1, out, quarter) + 3 * conv(3, quarter, quarter)

    def gate(skip, below):
        return conv(1, skip + below, skip // 2) + conv(1, skip // 2, 1)

    improved = choices["model"] == "improved_resunet"
    block = unet_block if choices["model"] == "unet" else zhang_block if "wiring" in choices else two_stage_block
    widths = [width * factor for factor in (1, 2, 4, 8, 16)]
    total = sum(block(a, b, True) for a, b in itertools.pairwise([channels, *widths])) + conv(1, width, 1)
    for below, skip in zip(widths[:0:-1], widths[-2::-1], strict=True):
        total += block(below + skip, skip, False) + improved * gate(skip, below)
    return total


def test_resunet_is_the_improved_network_with_all_three_off():
    off = built(model="improved_resunet", inception="none", attention="none", slope=0, **SMALL)
    resunet = built(model="resunet", **SMALL)
    kinds = [type(layer).__name__ for layer in resunet.layers]
    assert [type(layer).__name__ for layer in off.layers] == kinds
    assert not any("inception" in layer.name or "attention" in layer.name for layer in resunet.layers)
    assert "LeakyReLU" not in kinds


NUMBERS = {"width": (4, 8), "size": (16, 32), "slope": (0.01, 0.0, 0.3), "bn_momentum": (0.99, 0.5)}
"""Values to try of the choices that are numbers; all values of the others follow from the contract itself."""
TINY = {"width": 4, "size": 16, "channels": 1}


def values() -> dict[str, tuple]:
    """The values of every choice but the method's, which chooses among the others."""
    hints = typing.get_type_hints(NetworkConfig)
    names = [name for name in NetworkConfig.model_fields if name != "model"]
    return {
        name: (True, False) if hints[name] is bool else typing.get_args(hints[name]) or NUMBERS[name] for name in names
    }


def combinations() -> list[dict]:
    """Eight networks in which every value of every choice occurs, and the two other methods."""
    eight = [
        {
            name: options[(row + place * (row // 4)) % len(options)]
            for place, (name, options) in enumerate(values().items())
        }
        for row in range(8)
    ]
    return [*eight, {"model": "unet", **TINY}, {"model": "resunet", **TINY}]


def test_every_value_occurs_in_a_combination():
    for name, options in values().items():
        assert {choices.get(name) for choices in combinations()} >= set(options)


@pytest.mark.parametrize("name", values())
def test_every_switch_changes_the_network(name):
    described = [built(**TINY | {name: value}).to_json() for value in values()[name]]
    assert len(set(described)) == len(described)
    assert built(**TINY | {name: values()[name][0]}).to_json() == described[0]


@pytest.mark.parametrize("choices", combinations(), ids=lambda choices: "-".join(map(str, choices.values())))
def test_every_value_learns_and_is_kept(choices, tmp_path):
    """Loaded in stock Keras and compiled, the trained network predicts what it computes layer by layer here."""
    keras.utils.set_random_seed(0)
    config = NetworkConfig.of(**choices)
    network = networks.build(config)
    rng = np.random.default_rng(0)
    images = rng.random((2, config.size, config.size, config.channels)).astype("float32")
    masks = (images[..., :1] > 0.5).astype("float32")
    kernels = [weight for weight in network.trainable_weights if weight.name == "kernel"]
    before = [numbers(kernel).copy() for kernel in kernels]
    learner = networks.logits(network)
    learner.compile(keras.optimizers.Adam(1e-3), losses.combined_loss(), run_eagerly=True)
    assert np.isfinite(learner.train_on_batch(images, masks))
    # Every kind of kernel learns; single ones may lie behind a dead ReLU at this width.
    kinds = [re.sub(r"\d", "", kernel.path) for kernel in kernels]
    moved = [not np.array_equal(numbers(kernel), old) for kernel, old in zip(kernels, before, strict=True)]
    assert {kind for kind, learnt in zip(kinds, moved, strict=True) if learnt} == set(kinds)

    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True, compile=False)
    probability = numbers(network(images))
    assert probability.shape == masks.shape and np.all((probability >= 0) & (probability <= 1))
    np.testing.assert_allclose(loaded.predict_on_batch(images), probability, atol=1e-5)


def test_attention_gate_only_weakens_the_skip():
    """Each weight lies in 0..1, so the gated skip is nowhere larger than the skip, and has its sign."""
    config = NetworkConfig.of(**SMALL)
    skip, gate = keras.Input((8, 8, 4)), keras.Input((8, 8, 6))
    model = keras.Model([skip, gate], blocks.attention(skip, gate, config, "a"))
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(2, 8, 8, 4)).astype("float32"), rng.normal(size=(2, 8, 8, 6)).astype("float32")
    ratio = numbers(model([x, g])) / x
    assert ratio.min() >= 0 and ratio.max() <= 1
    np.testing.assert_allclose(ratio, ratio[..., :1].repeat(4, -1), rtol=1e-4)  # one weight per pixel
    assert ratio.std() > 0


def test_inception_sees_five_pixels_and_no_more():
    """The factorised 5x5 branch reaches two pixels in every direction."""
    config = NetworkConfig.of(**SMALL)
    x = keras.Input((11, 11, 4))
    model = keras.Model(x, blocks.inception_module(x, 8, config, "inception"))
    zero = np.zeros((1, 11, 11, 4), "float32")
    point = zero.copy()
    point[0, 5, 5] = 1
    reached = np.abs(numbers(model(point)) - numbers(model(zero)))[0].max(-1) > 1e-9
    rows, columns = np.nonzero(reached)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 7, 3, 7)


def test_saved_network_needs_no_lvseg(tmp_path):
    """A process in which lvseg can't be imported loads the network in safe mode and predicts the same."""
    network = built(model="improved_resunet", **SMALL)
    image = np.random.default_rng(0).random((2, 32, 32, 1)).astype("float32")
    network.save(tmp_path / "n.keras")
    np.save(tmp_path / "image.npy", image)
    script = (
        "import sys\n"
        "sys.modules['lvseg'] = None\n"
        "import keras, numpy as np\n"
        "n = keras.saving.load_model('n.keras', safe_mode=True, compile=False)\n"
        "np.save('out.npy', n.predict_on_batch(np.load('image.npy')))\n"
        "try:\n    import lvseg.networks\n"
        "except ImportError:\n    print('no lvseg')\n"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert run.stdout.splitlines()[-1] == "no lvseg"
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), network.predict_on_batch(image), atol=1e-6)


@pytest.mark.parametrize(
    ("choices", "named"),
    [
        ({"model": "vnet"}, "model='vnet'"),
        ({"attention": "self"}, "attention='self'"),
        ({"size": 100}, "size=100"),
        ({"width": 6}, "width=6"),
        ({"widht": 8}, "'widht'"),
        ({"model": "unet", "inception": "encoder"}, "unet has no residual block"),
    ],
)
def test_a_wrong_choice_is_one_sentence_that_names_it(choices, named):
    with pytest.raises(ConfigError) as error:
        NetworkConfig.of(**choices)
    assert named in str(error.value) and "\n" not in str(error.value)


def test_fig5_is_drawn_from_the_graph():
    boxes = {box.name: box for box in diagrams.block_diagram(built(model="improved_resunet", **SMALL), 2)}
    down = [box.label for box in boxes.values() if box.column == 0]
    assert down == [
        "ResBlock (1)\n32 × 32 × 4", *2 * ["BN", "3x3 conv", "LeakyReLU"],
        "addition", "Inception module", "3x3 conv, stride 2", "ResBlock (2)\n16 × 16 × 8",
    ]  # fmt: skip
    assert set(boxes["resblock_2_add"].inputs) == {"resblock_2_2_activation", "resblock_2_shortcut"}
    assert boxes["resblock_2_shortcut"].inputs == ("resblock_1",)
    assert [box.name for box in boxes.values() if box.column == 1] == ["resblock_2_shortcut"]

    boxes = {box.name: box for box in diagrams.block_diagram(built(model="resunet", **SMALL), 6)}
    assert boxes["upsampling_6"].inputs == ("resblock_5",)
    assert set(boxes["resblock_6_join"].inputs) == {"upsampling_6", "resblock_4"}
    labels = {box.label for box in boxes.values()}
    assert "ReLU" in labels and not labels & {"Inception module", "LeakyReLU"}


def test_the_whole_network_is_drawn_from_the_graph(full):
    boxes = diagrams.network_diagram(full)
    labels = [box.label for box in boxes if not box.name.startswith(("image", "attention", "probability"))]
    assert sorted(labels) == sorted(f"{row.name}\n{' × '.join(map(str, row.output))}" for row in paper.TABLE_1)
    by_name = {box.name: box for box in boxes}
    for number in (6, 7, 8, 9):
        skip = f"resblock_{10 - number}"
        assert set(by_name[f"attention_{number}"].inputs) == {skip, f"upsampling_{number}"}
        assert set(by_name[f"resblock_{number}"].inputs) == {f"attention_{number}", f"upsampling_{number}"}
        assert by_name[skip].row == by_name[f"attention_{number}"].row == by_name[f"resblock_{number}"].row
        assert by_name[f"upsampling_{number}"].inputs == (f"resblock_{number - 1}",)


DRAWN = [
    {"model": "improved_resunet"}, {"model": "unet"}, {"model": "resunet", "wiring": "two_convolutions"},
    {"wiring": "preactivation", "skip": "add", "attention": "cbam", "inception": "encoder_decoder"},
    {"wiring": "postactivation", "upsampling": "transposed", "attention": "squeeze_excitation"},
]  # fmt: skip


@pytest.mark.parametrize("choices", DRAWN, ids=str)
def test_no_box_of_a_figure_hides_another(choices):
    network = built(**SMALL | choices)
    for boxes in (diagrams.network_diagram(network), *(diagrams.block_diagram(network, n) for n in range(1, 10))):
        places = sorted((box.column, box.row) for box in boxes)
        assert all(a[0] != b[0] or b[1] - a[1] >= 1 for a, b in itertools.pairwise(places))
        assert {name for box in boxes for name in box.inputs} <= {box.name for box in boxes}


def test_every_word_of_a_figure_lies_in_its_box(full):
    blocks_drawn = diagrams.fig5({f"ResBlock ({n})": diagrams.block_diagram(full, n) for n in (2, 6)})
    for figure in (blocks_drawn, diagrams.u_shape(diagrams.network_diagram(full))):
        figure.png()
        boxes = [patch.get_window_extent() for axes in figure.axes for patch in axes.patches if patch.get_zorder() == 2]
        texts = [text.get_window_extent() for axes in figure.axes for text in axes.texts]
        assert len(texts) == len(boxes) > 10
        for text, box in zip(texts, boxes, strict=True):
            assert box.x0 < text.x0 < text.x1 < box.x1 and box.y0 < text.y0 < text.y1 < box.y1


@pytest.mark.parametrize("model", ["unet", "improved_resunet"])
def test_feature_maps_are_what_the_blocks_pass_on(model):
    """The last block's maps, through the last convolution by hand, are the network's probabilities."""
    network = built(model=model, **SMALL)
    images = np.random.default_rng(0).random((2, 32, 32, 1)).astype("float32")
    maps = graph.feature_maps(network, images)
    sizes = [(32, 4), (16, 8), (8, 16), (4, 32), (2, 64), (4, 32), (8, 16), (16, 8), (32, 4)]
    assert [tensor.shape for tensor in maps.values()] == [(2, size, size, channels) for size, channels in sizes]
    kernel, bias = map(numbers, network.get_layer("convolution").weights)
    expected = expit(list(maps.values())[-1] @ kernel[0, 0] + bias)
    np.testing.assert_allclose(numbers(network(images)), expected, atol=1e-5)
    assert plots.feature_maps(maps).png().startswith(b"\x89PNG")


def test_attention_maps_are_the_gates_weights():
    network = built(model="improved_resunet", **SMALL)
    images = np.random.default_rng(0).random((2, 32, 32, 1)).astype("float32")
    maps = graph.attention_maps(network, images)
    assert [gate.shape for gate in maps] == [(2, 4, 4), (2, 8, 8), (2, 16, 16), (2, 32, 32)]
    inside = keras.Model(network.input, [network.get_layer(n).output for n in ("attention_9", "resblock_1")])
    gated, skip = map(numbers, inside(images))
    np.testing.assert_allclose(gated, skip * maps[-1][..., None], rtol=1e-4, atol=1e-6)
