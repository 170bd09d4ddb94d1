"""Faster forms of artifacts compute what the plain ones do, at sizes that were not traced."""

import numpy as np
import pytest

pytestmark = [
    pytest.mark.matrix,
    # TorchScript is deprecated upstream; the artifact's notes say so.
    pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning"),
]

SIZES = ((2, 16, 16), (1, 16, 16), (5, 16, 16), (3, 24, 18), (2, 16, 16))


def torch_nets():
    """Return modules whose convolutions the passes meet in every way they know."""
    import torch
    from torch import nn

    torch.manual_seed(0)

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False)
            self.norm = nn.BatchNorm2d(8)
            self.wide = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2)

        def forward(self, x):
            y = self.norm(self.first(x))
            return torch.relu(y + self.wide(y))

    class Scaled(nn.Module):  # what is added has to be broadcast: it stays outside
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3)
            self.gate = nn.Conv2d(3, 8, 1)

        def forward(self, x):
            return self.conv(x) + self.gate(x.mean((2, 3), keepdim=True))

    class Twice(nn.Module):  # read twice: neither BatchNorm nor activation may go in
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x):
            y = self.conv(x)
            return self.norm(y) + torch.relu(y)

    def plain(*layers):
        return nn.Sequential(*layers)

    nets = {
        "relu6": plain(nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU6()),
        "depthwise": plain(nn.Conv2d(3, 6, 3, groups=3, bias=False), nn.BatchNorm2d(6),
                           nn.Hardswish()),
        "leaky": plain(nn.Conv2d(3, 4, (3, 1), (1, 2)), nn.LeakyReLU(0.1), nn.Flatten(2)),
        "silu": plain(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Conv2d(4, 4, 1), nn.Hardsigmoid()),
        "transposed": plain(nn.ConvTranspose2d(3, 5, 4, 2, 1), nn.BatchNorm2d(5), nn.ReLU()),
        "grouped transposed": plain(nn.ConvTranspose2d(3, 6, 2, 2, groups=3), nn.BatchNorm2d(6)),
        "linear": plain(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4), nn.BatchNorm1d(4)),
        "no affine": plain(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False), nn.Hardtanh(-2, 1)),
        "residual": Residual(), "scaled": Scaled(), "twice": Twice(),
    }  # fmt: skip
    for net in nets.values():
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.5)
                layer.running_var.uniform_(0.5, 2)
                if layer.affine:
                    layer.weight.data.uniform_(0.5, 2)
                    layer.bias.data.normal_(0, 0.5)
    return {name: net.eval() for name, net in nets.items()}


FOLDED = {"relu6": 1, "depthwise": 1, "transposed": 1, "linear": 1, "no affine": 1, "residual": 1}
PACKED = {  # convolutions, activations, additions
    "relu6": (1, 1, 0), "depthwise": (1, 1, 0), "leaky": (1, 1, 0), "silu": (2, 1, 0),
    "no affine": (1, 1, 0), "residual": (2, 1, 1), "scaled": (2, 0, 0), "twice": (1, 0, 0),
}  # fmt: skip
NET_NAMES = ("relu6", "depthwise", "leaky", "silu", "transposed", "grouped transposed", "linear",
             "no affine", "residual", "scaled", "twice")  # fmt: skip


def image(size, seed=0):
    import torch

    batch, height, width = size
    values = np.random.default_rng(seed).standard_normal((batch, 3, height, width))
    return torch.from_numpy(values.astype(np.float32))


@pytest.fixture(scope="module")
def nets():
    return torch_nets()


@pytest.mark.parametrize("name", NET_NAMES)
def test_torchscript_steps_keep_the_answer(nets, name, tmp_path):
    import torch

    from shipworthy.convert import optimise_torchscript as steps
    from shipworthy.convert.layout import clean

    net, example = nets[name], image(SIZES[0])
    with torch.no_grad():
        traced = torch.jit.trace(net, example, check_trace=False)
    frozen = torch.jit.freeze(traced, optimize_numerics=False)
    assert clean(frozen, [example]).folded == FOLDED.get(name, 0)
    frozen.save(tmp_path / "a.pt")
    for step in ("channels_last", "packed"):
        module = torch.jit.load(tmp_path / "a.pt")
        done = steps._STEPS[step](module, [example])
        if step == "packed":
            assert tuple(done.values()) == PACKED.get(name, ())
        torch.jit.save(module, tmp_path / "a.pt")
        loaded = torch.jit.load(tmp_path / "a.pt")
        for turn, size in enumerate(SIZES):
            x = image(size, turn)
            with torch.no_grad():
                wide = net.double()(x.double())
                expected = net.float()(x)
            error = (loaded(x) - wide).abs().max()
            bound = (expected - wide).abs().max() + 2**-22 * wide.abs().max()
            assert error < 8 * bound, (step, size)


def test_a_packed_file_can_be_saved_again(nets, tmp_path):
    import torch

    from shipworthy.convert.optimise_convolutions import pack

    net, example = nets["depthwise"], image(SIZES[0])
    with torch.no_grad():
        module = torch.jit.freeze(torch.jit.trace(net, example, check_trace=False))
    pack(module, [example])
    torch.jit.save(module, tmp_path / "once.pt")
    once = torch.jit.load(tmp_path / "once.pt")
    torch.jit.save(once, tmp_path / "twice.pt")
    twice = torch.jit.load(tmp_path / "twice.pt")
    assert torch.equal(once(example), twice(example))


def test_the_faster_file_is_kept(nets, tmp_path, monkeypatch):
    import torch

    from shipworthy.convert import optimise_torchscript as steps

    net, example = nets["relu6"], image(SIZES[0])
    path = tmp_path / "a.pt"
    with torch.no_grad():
        torch.jit.save(torch.jit.freeze(torch.jit.trace(net, example, check_trace=False)), path)
    plain = path.read_bytes()
    monkeypatch.setattr(steps, "measure", lambda files, inputs: [1.0, 0.98])
    assert steps.keep_fastest(path, [example], [example])["steps"] == []
    assert path.read_bytes() == plain
    monkeypatch.setattr(steps, "measure", lambda files, inputs: [1.0, 0.9])
    told = steps.keep_fastest(path, [example], [example])
    assert told["steps"] == ["channels_last", "packed"]
    assert path.read_bytes() != plain
    assert list(tmp_path.iterdir()) == [path]
    assert torch.allclose(torch.jit.load(path)(example), net(example), atol=1e-5)


def keras_models():
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)

    def model(*stack, shape=(12, 12, 3)):
        built = keras.Sequential([keras.Input(shape), *stack])
        draw = np.random.default_rng(0)
        for layer in built.layers:
            if isinstance(layer, layers.BatchNormalization):
                old = layer.get_weights()
                layer.set_weights([draw.uniform(0.5, 1.5, w.shape) for w in old])
        return built

    return {
        "convolution": model(layers.Conv2D(4, 3, use_bias=False), layers.BatchNormalization(),
                             layers.ReLU(6)),
        "depthwise": model(layers.DepthwiseConv2D(3, 2, depth_multiplier=2),
                           layers.BatchNormalization()),
        "dense": model(layers.Flatten(), layers.Dense(5), layers.BatchNormalization(),
                       layers.Dense(2)),
        "no scale": model(layers.Conv2D(4, 3), layers.BatchNormalization(scale=False)),
        "rescaled": model(layers.Rescaling(1 / 255), layers.Conv2D(4, 3),
                          layers.Rescaling(2.0, 1.0)),
        "separable": model(layers.SeparableConv2D(4, 3), layers.BatchNormalization()),
        "lstm": model(layers.Reshape((12, 36)), layers.LSTM(3)),
    }  # fmt: skip


# How many operators went into weights: BatchNorm is two in Keras' spelling, a bias one more.
FOLDED_KERAS = {"convolution": 2, "depthwise": 3, "dense": 3, "no scale": 3, "rescaled": 3,
                "separable": 3, "lstm": 0}  # fmt: skip


def calling(model):
    return lambda image: {"out": model(image, training=False)}


def test_tensorflow_functions_keep_their_answers(monkeypatch):
    import tensorflow as tf

    from shipworthy.convert import optimise_saved_model as optimiser

    for name, model in keras_models().items():
        spec = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32, name="image")
        plain = tf.function(calling(model)).get_concrete_function(spec)
        for most, constants in ((2**20, True), (0, False)):
            monkeypatch.setattr(optimiser, "MOST_CONSTANT_BYTES", most)
            monkeypatch.setattr(optimiser, "_SMALL_BYTES", 8)
            function, variables, done = optimiser.optimise(plain)
            if not constants and "no convolution" in done.get("reason", ""):
                assert function is plain
                continue
            assert done == {"constants": constants, "operators_folded": FOLDED_KERAS[name]}, name
            assert bool(variables) is not constants
            for batch in (1, 2, 5):
                shape = (batch, *model.input_shape[1:])
                x = np.random.default_rng(batch).standard_normal(shape).astype(np.float32)
                expected, actual = plain(tf.constant(x))["out"], function(tf.constant(x))["out"]
                np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=2e-5, err_msg=name)


def test_a_function_is_left_as_it_is():
    import tensorflow as tf

    from shipworthy.convert.optimise_saved_model import optimise

    variable = tf.Variable([1.0, 2.0])
    function = tf.function(lambda x: {"y": x + variable}).get_concrete_function(
        tf.TensorSpec([None, 2], tf.float32, name="x")
    )
    same, variables, done = optimise(function, wanted=False)
    assert same is function
    assert len(variables) == 1
    assert done == {"constants": False}
