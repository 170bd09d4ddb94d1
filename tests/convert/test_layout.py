"""The clean-up of channels-last code on channels-first operators: exact, and it finds its pairs."""

from functools import cache

import numpy as np
import pytest

pytestmark = [
    pytest.mark.matrix,
    # TorchScript is deprecated upstream; the artifact's notes say so.
    pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning"),
]


def first(x):
    return x.permute(0, 3, 1, 2).contiguous()


def last(x):
    return x.permute(0, 2, 3, 1).contiguous()


@cache
def fill(shape, seed=0):
    """Drawn by NumPy and kept: tracing would record torch.randn itself."""
    import torch

    values = np.random.default_rng(seed).standard_normal(shape)
    return torch.from_numpy(values.astype(np.float32) / 4)


def conv(x, seed=0):
    """A channels-last 3x3 convolution, 4 channels to 4, as Keras computes it."""
    import torch

    weight = fill((3, 3, 4, 4), seed)
    return last(torch.conv2d(first(x), weight.permute(3, 2, 0, 1), padding=1))


def freeze(function, example):
    import torch

    class Net(torch.nn.Module):
        def forward(self, x):
            return function(x)

    with torch.no_grad():
        traced = torch.jit.trace(Net().eval(), example, check_trace=False)
    return torch.jit.freeze(traced, optimize_numerics=False)


def cleaned(function, optimize=False):
    """Clean a function's trace at batch 2; check it at other batches; return the counts."""
    import torch

    from shipworthy.convert.layout import clean

    example = torch.randn(2, 6, 5, 4)
    function(example)  # draws the weights
    module = freeze(function, example)
    told = clean(module, [example])
    if optimize:
        torch.jit.run_frozen_optimizations(module)
    for batch in (1, 3, 5):
        x = torch.randn(batch, 6, 5, 4)
        expected, actual = function(x), module(x)
        if torch.is_tensor(expected):
            expected, actual = (expected,), (actual,)
        for want, got in zip(expected, actual, strict=True):
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
            assert got.is_contiguous()
    return told, module


def relu_between(x):
    import torch

    return conv(torch.relu(conv(x)), 1).sum((1, 2))


def in_place_between(x):
    return conv((conv(x) + 1.0).relu_().mul_(2.0), 1).sum((1, 2))


def norm_between(x):
    mean, scale = fill((4,)), fill((4,), 1).abs()
    y = conv(x).subtract(mean.reshape(1, 1, 1, 4)).mul_((scale + 1e-3).rsqrt_()).add_(mean)
    return conv(y, 1).sum((1, 2))


def residual(x):
    y = conv(x)
    return conv(y + conv(y, 1), 2).sum((1, 2))


def concatenated(x):
    import torch

    y = conv(x)
    return conv(torch.cat([y, conv(y, 1)], -1)[..., 2:6], 2).sum((1, 2))


def padded(x):
    import torch

    y = torch.nn.functional.pad(conv(x), (0, 0, 1, 2, 3, 0))
    return conv(y, 1).sum((1, 2))


def pooled_and_gated(x):
    import torch

    y = conv(x)
    gate = torch.sigmoid(y.mean((1, 2), keepdim=True))
    return conv(y * gate, 1).mean((1, 2))


def attended(x):
    import torch

    return conv(torch.softmax(conv(x), -1), 1).amax((1, 2))


def transposed_twice(x):
    return conv(conv(x).transpose(1, 3).transpose(3, 1), 1).sum((1, 2))


@pytest.mark.parametrize(
    "function",
    [
        relu_between,
        in_place_between,
        norm_between,
        residual,
        concatenated,
        padded,
        pooled_and_gated,
        attended,
        transposed_twice,
    ],
)
def test_only_the_entry_is_left_transposed(function):
    told, module = cleaned(function)
    assert told.reason == ""
    assert told.before > told.after == 1
    (permute,) = (n for n in module.graph.nodes() if n.kind() == "aten::permute")
    assert permute.inputsAt(0).debugName() == list(module.graph.inputs())[1].debugName()


def test_flattening_keeps_the_order_of_the_original():
    import torch

    matrix = torch.randn(6 * 5 * 4, 3)
    told, module = cleaned(lambda x: conv(x).reshape(x.shape[0], -1) @ matrix + 1.5)
    assert told.after == 2  # in and out: the order of the elements matters to the matrix
    assert "aten::linear" in {node.kind() for node in module.graph.nodes()}


def test_dense_layers_become_one_operator():
    import torch

    weight, bias = torch.randn(4, 3), torch.randn(3)
    _, module = cleaned(lambda x: torch.matmul(x, weight) + bias)
    kinds = [n.kind() for n in module.graph.nodes() if n.kind() != "prim::Constant"]
    assert kinds == ["aten::linear", "aten::contiguous"]


def test_a_bias_that_broadcasts_otherwise_is_not_taken_into_the_dense_layer():
    import torch

    weight, column = torch.randn(4, 3), torch.randn(5, 1)
    _, module = cleaned(lambda x: torch.matmul(x, weight) + column)
    assert "aten::add" in {node.kind() for node in module.graph.nodes()}


def test_arithmetic_folds_into_the_convolution():
    _, module = cleaned(norm_between, optimize=True)
    kinds = {node.kind() for node in module.graph.nodes()}
    assert not kinds & {"aten::sub", "aten::mul", "aten::add", "aten::rsqrt"}


def test_outputs_stay_row_major_and_in_their_layout():
    told, _ = cleaned(lambda x: (conv(x), first(conv(x, 1))))
    assert told.reason == ""


def test_mixed_layouts_stay_right():
    def function(x):
        y = conv(x)
        return conv(y * x + x.flip(1), 1) - y

    cleaned(function)


def test_a_view_of_what_was_a_copy_still_works():
    told, _ = cleaned(lambda x: conv(x).relu().contiguous().view(x.size(0), 30, 4).sum(2))
    assert told.reason == ""


def test_strides_in_the_graph_forbid_the_clean_up():
    def function(x):
        return conv(x).as_strided((2, 4), (120, 1)) + 1.0

    import torch

    from shipworthy.convert.layout import clean

    example = torch.randn(2, 6, 5, 4)
    function(example)  # draws the weights
    module = freeze(function, example)
    before = str(module.graph)
    told = clean(module, [example])
    assert "as_strided" in told.reason
    assert told.before == told.after
    assert str(module.graph).count("aten::contiguous") == before.count("aten::contiguous")


def test_writing_to_a_view_forbids_the_clean_up_and_stays_right():
    told, _ = cleaned(lambda x: conv(conv(x).relu_(), 1))
    assert "aten::relu_" in told.reason
    assert told.before == told.after


def test_weights_lie_channels_last():
    import torch

    _, module = cleaned(relu_between)
    weights = [
        node.inputsAt(1).toIValue()
        for node in module.graph.nodes()
        if node.kind() == "aten::_convolution"
    ]
    assert len(weights) == 2
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)
