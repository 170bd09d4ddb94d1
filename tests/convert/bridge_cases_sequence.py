"""Indexing and writing to indices, sorting, running totals, attention, recurrent layers."""

from __future__ import annotations

from typing import Any

from shipworthy.convert.bridge.lazy import Lazy

torch: Any = Lazy("torch")
nn: Any = Lazy("torch.nn")
F: Any = Lazy("torch.nn.functional")

LSTM = "shipworthy.lstm.default"
RNN = "shipworthy.rnn.default"


def f(function: Any) -> Any:
    return lambda: function


def made(kind: str, *sizes: int, **settings: Any) -> Any:
    """Return the outputs and last states of a recurrent layer, in one tensor."""

    def build() -> Any:
        class Run(nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.layer = getattr(nn, kind)(*sizes, **settings)

            def forward(self, x: Any, *state: Any) -> Any:
                given = (state if len(state) > 1 else state[0],) if state else ()
                y, last = self.layer(x, *given)
                last = last if isinstance(last, tuple) else (last,)
                return torch.cat([part.flatten() for part in (y, *last)])

        return Run()

    return build


def packed(kind: str, total: bool = True, **settings: Any) -> Any:
    def build() -> Any:
        from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

        class Run(nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.layer = getattr(nn, kind)(4, 3, **settings)

            def forward(self, x: Any, lengths: Any) -> Any:
                first = settings.get("batch_first", False)
                p = pack_padded_sequence(x, lengths.cpu(), first, enforce_sorted=False)
                p = PackedSequence(torch.tanh(p.data), *p[1:])
                y, last = self.layer(p)
                last = last if isinstance(last, tuple) else (last,)
                steps = x.shape[1 if first else 0] if total else None
                y, found = pad_packed_sequence(y, first, padding_value=0.5, total_length=steps)
                return torch.cat([part.flatten() for part in (y, *last, found)])

        return Run()

    return build


def bag(mode: str, by_offsets: bool = False, **settings: Any) -> Any:
    def build() -> Any:
        layer = nn.EmbeddingBag(9, 3, mode=mode, **settings)

        class Run(nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.layer = layer
                self.register_buffer("offsets", torch.tensor([0, 2, 2, 5]))

            def forward(self, index: Any, *factors: Any) -> Any:
                given = (self.offsets,) if by_offsets else ()
                weights = {"per_sample_weights": factors[0]} if factors else {}
                return self.layer(index, *given, **weights)

        return Run()

    return build


def written(x: Any, rows: Any, y: Any) -> Any:
    x = x.clone()
    x[:, rows] = y
    return x


def written_at(x: Any, rows: Any, columns: Any) -> Any:
    x = x.clone()
    x[rows, :, columns] = 3.0
    return x


def masked(x: Any, mask: Any) -> Any:
    x = x.clone()
    x[mask] = -1.0
    return x


def masked_each(x: Any, mask: Any) -> Any:
    x = x.clone()
    x[mask] = torch.arange(3).to(x.dtype)
    return x


def over_all(x: Any) -> Any:
    y = x.transpose(1, 2)
    return torch.cat([F.max_pool1d(y, y.size(2)), F.avg_pool1d(y, kernel_size=y.size(-1))], 1)


def multihead(**settings: Any) -> Any:
    return lambda: Attends(**settings)


def Attends(masked: bool = False, **settings: Any) -> Any:
    class Run(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True, **settings)

        def forward(self, x: Any, *padding: Any) -> Any:
            mask = torch.full((x.size(1), x.size(1)), float("-inf"), dtype=x.dtype).triu(1)
            mask = mask if masked else None
            keys = padding[0] if padding else None
            return self.attention(x, x, x, key_padding_mask=keys, attn_mask=mask)[0]

    return Run()


def encoder(**settings: Any) -> Any:
    def build() -> Any:
        layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, **settings)
        return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    return build


def causal(q: Any, k: Any, v: Any) -> Any:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def grouped(q: Any, k: Any, v: Any) -> Any:
    return F.scaled_dot_product_attention(q, k, v, enable_gqa=True, scale=0.3)


def torch_op(name: str) -> Any:
    return lambda *inputs: getattr(torch, name)(*inputs)


def scattered(reduce: str, include_self: bool = True) -> Any:
    return f(lambda x, i, y: x.scatter_reduce(1, i, y, reduce=reduce, include_self=include_self))


HEADS = "N 2 L 4"
CASES: list[tuple[Any, ...]] = [
    # Looking up.
    ("index one", "index.Tensor", f(lambda x, i: x[:, i]), "N 5 3", "int64 4 -5..4"),
    ("index matrix", "index.Tensor", f(lambda x, i: x[i]), "5 3", "int64 N 2 0..4"),
    ("index list", "index.Tensor", f(lambda x: x[:, [0, -1, 2]]), "N L"),
    ("index pairs", "index.Tensor", f(lambda x, i, j: x[i, j]), "4 5 3", "int64 N 0..3",
     "int64 N -5..4"),
    ("index rows of a batch", "index.Tensor",
     f(lambda x, i: x[torch.arange(x.shape[0]), i]), "N L 3", "int64 N 0..4"),
    ("index inner pairs", "index.Tensor", f(lambda x, i, j: x[:, i, j]), "N 4 5 3",
     "int64 2 1 0..3", "int64 3 0..4"),
    ("index apart", "index.Tensor", f(lambda x, i, j: x[i, :, j]), "4 N 5", "int64 2 3 0..3",
     "int64 3 -5..4"),
    ("index triangle", "index.Tensor",
     f(lambda x: x[:, *torch.triu_indices(4, 4, offset=1)]), "N 4 4"),
    ("index mask", "index.Tensor", f(lambda x: x[x > 0]), "N 6"),
    ("index rows by mask", "index.Tensor", f(lambda x, m: x[:, m]), "N 6 2", "bool 6"),
    ("lower triangle", "tril_indices.default",
     f(lambda x: x[:, *torch.tril_indices(4, 5, offset=-1)]), "N 4 5"),
    ("upper triangle", "triu_indices.default",
     f(lambda x: torch.triu_indices(3, 4, offset=1) + x), "int64 1"),
    ("roll", "index.Tensor", f(lambda x: torch.ops.aten.index(x, [None, torch.tensor([2, 0])])),
     "N 3"),
    ("unsafe index", "_unsafe_index.Tensor",
     f(lambda x, i: torch.ops.aten._unsafe_index(x, [None, i])), "N 5", "int64 3 0..4"),
    ("take along", "gather.default", f(lambda x, i: x.take_along_dim(i, 1)), "N L 3",
     "int64 N 2 3 0..4"),
    ("gather by sizes", "gather.default",
     f(lambda x, i: x.gather(1, i.view(-1, 1, 1).expand(-1, 1, x.size(2)))), "N L 3",
     "int64 N 0..4"),
    ("nonzero", "nonzero.default", f(lambda x: (x > 0).nonzero()), "N 5"),
    # Writing.
    ("index_put", "index_put.default", f(written), "N 5 3", "int64 2 0..1", "N 2 3"),
    ("index_put one value", "index_put.default", f(written_at), "4 N 5", "int64 2 0..3",
     "int64 2 -5..4"),
    ("index_put mask", "index_put.default", f(masked), "N 5", "bool N 5"),
    ("index_put row mask", "index_put.default", f(masked), "N 5 3", "bool N 5"),
    ("index_put rows", "index_put.default", f(masked_each), "N 5 3", "bool N 5"),
    ("index_put sum", "index_put.default",
     f(lambda x, i, y: x.index_put((i,), y, accumulate=True)), "4 3", "int64 N 0..3", "N 3"),
    ("unsafe index_put", "_unsafe_index_put.default",
     f(lambda x, i, y: torch.ops.aten._unsafe_index_put(x, [i], y)), "4 3", "int64 1 0..3", "3"),
    ("index_add", "index_put.default", f(lambda x, i, y: x.index_add(1, i, y)), "N 4 3",
     "int64 5 0..3", "N 5 3"),
    ("scatter", "scatter.src", f(lambda x, i, y: x.scatter(1, i[:, :1], y)), "N 5",
     "int64 N 2 0..4", "N 2"),
    ("scatter value", "scatter.value", f(lambda x, i: x.scatter(-1, i, 2.5)), "N L 5",
     "int64 N L 2 0..4"),
    ("scatter of none", "scatter.src", f(lambda x, i: x[0].scatter(0, i[0], x[1])), "2",
     "int64 1 0..0"),
    ("scatter_add", "scatter_add.default", f(lambda x, i, y: x.scatter_add(1, i, y)), "N 4 3",
     "int64 N 6 2 0..3", "N 7 3"),
    ("scatter times", "scatter.reduce",
     f(lambda x, i, y: torch.ops.aten.scatter.reduce(x, 1, i, y, reduce="multiply")), "N 4",
     "int64 N 6 0..3", "N 6"),
    ("scatter plus", "scatter.value_reduce",
     f(lambda x, i: torch.ops.aten.scatter.value_reduce(x, 1, i, 2.0, reduce="add")), "N 4",
     "int64 N 6 0..3"),
    *((f"scatter_reduce {kind}{' alone' * (not own)}", "scatter_reduce.two",
       scattered(kind, own), "N 4", "int64 N 6 0..3", "N 6")
      for kind in ("sum", "prod", "mean", "amax", "amin") for own in (True, False)),
    ("masked_scatter", "masked_scatter.default",
     f(lambda x, m, y: x.masked_scatter(m, y)), "N 5", "bool 5", "N 9"),
    ("masked_select", "masked_select.default",
     f(lambda x, m: x.masked_select(m)), "N 5", "bool 5"),
    ("repeat_interleave by counts", "repeat_interleave.Tensor",
     f(lambda x, n: torch.repeat_interleave(x, n, dim=1)), "N 4", "int64 4 0..3"),
    *((name, f"{name}.default", f(torch_op(name)), "N 5 0.1..0.9")
      for name in ("digamma", "erfc", "erfinv", "exp2", "lgamma")),
    # Two tensors.
    ("fmax", "fmax.default", f(lambda x, y: torch.fmax(x, y.sqrt().nan_to_num(9.0))), "N 5",
     "N 5"),
    ("fmin of no number", "fmin.default",
     f(lambda x: torch.fmin(x, torch.tensor([0.1, float("nan"), -3.0]))), "N 3"),
    ("hypot", "hypot.default", f(lambda x, y: torch.hypot(x, y)), "N 5", "N 5"),
    ("copysign", "copysign.Tensor", f(lambda x, y: torch.copysign(x, y)), "N 5", "N 5"),
    ("copysign of a number", "copysign.Scalar", f(lambda x: torch.copysign(x, -0.0)), "N 5"),
    ("signbit", "signbit.default", f(lambda x: torch.signbit(x.clamp(max=0.0) * 0.0)), "N 5"),
    ("var_mean", "var_mean.correction", f(lambda x: torch.stack(torch.var_mean(x, 1))), "N 5"),
    # Order.
    ("sort", "sort.default", f(lambda x: x.sort(1)[0]), "N L"),
    ("sort places", "sort.default", f(lambda x: x.sort(1, descending=True)[1]), "N L"),
    ("sort stable", "sort.stable", f(lambda x: x.sort(dim=0, stable=True)[1]), "int32 N L 0..3"),
    ("sort stable down", "sort.stable",
     f(lambda x: x.sort(dim=-1, descending=True, stable=True)[1]), "uint8 N L 0..3"),
    ("argsort", "sort.stable", f(lambda x: x.argsort(dim=1, stable=True)), "bool N L"),
    ("topk", "topk.default", f(lambda x: x.topk(3, 1)[0]), "N L 2"),
    ("topk places", "topk.default", f(lambda x: x.topk(2, largest=False)[1]), "N L"),
    ("median", "median.default", f(lambda x: x.median()), "N 4"),
    ("median dim", "median.dim", f(lambda x: x.median(1, keepdim=True)[0]), "N L 3"),
    ("kthvalue", "kthvalue.default", f(lambda x: x.kthvalue(2, 1)[1]), "N L"),
    ("max of all", "max.default", f(lambda x: x.max()), "N 4"),
    ("min of all", "min.default", f(lambda x: x.min()), "int64 N 4"),
    ("bucketize", "bucketize.Tensor",
     f(lambda x: torch.bucketize(x, torch.tensor([-1.0, 0.0, 0.5]))), "N 5"),
    ("bucketize right", "bucketize.Tensor",
     f(lambda x: torch.bucketize(x, torch.tensor([1, 3]), right=True, out_int32=True)),
     "int64 N 5 0..4"),
    ("bucketize a number", "bucketize.Scalar",
     f(lambda x: torch.ops.aten.bucketize.Scalar(0.25, x.sort()[0])), "9"),
    ("searchsorted", "searchsorted.Tensor",
     f(lambda x, y: torch.searchsorted(x.sort(1)[0], y, side="right")), "N L", "N 3"),
    ("searchsorted sorter", "searchsorted.Tensor",
     f(lambda x, y: torch.searchsorted(x, y, sorter=x.argsort(1))), "N L", "N 3"),
    ("searchsorted a number", "searchsorted.Scalar",
     f(lambda x: torch.searchsorted(x.sort()[0], 0.25)), "9"),
    # Running totals.
    ("cumprod", "cumprod.default", f(lambda x: x.cumprod(1)), "N L"),
    ("cumprod of integers", "cumprod.default", f(lambda x: x.cumprod(0)), "int32 5 N 1..3"),
    ("logcumsumexp", "logcumsumexp.default", f(lambda x: x.logcumsumexp(1)), "N 9"),
    ("logcumsumexp of nothing", "logcumsumexp.default",
     f(lambda x: x.masked_fill(x < 0, float("-inf")).logcumsumexp(1).exp()), "N L"),
    ("cummax", "cummax.default", f(lambda x: x.cummax(1)[0]), "N L"),
    ("cummax places", "cummax.default", f(lambda x: x.cummax(1)[1]), "int64 N L 0..4"),
    ("cummin", "cummin.default", f(lambda x: x.cummin(0)[1]), "5 N"),
    # Sizes.
    ("times all there are", "mul.Tensor", f(lambda x: x * x.numel()), "N 4"),
    ("item", "_local_scalar_dense.default", f(lambda x, n: x[:, : n.max().item()] * 2), "N 8",
     "int64 N 1..8"),
    ("root of a size", "mul.Tensor", f(lambda x: x * x.shape[1] ** 0.5), "N L"),
    ("mask by arange", "lt.Tensor",
     f(lambda x, n: x.masked_fill(torch.arange(x.shape[1]) >= n[:, None], 0.0)
       * (torch.arange(x.shape[1]) < n[:, None])), "N L", "int64 N 1..8"),
    ("unfold", "unfold.default", f(lambda x: x.unfold(1, 3, 2) * 1), "N 9 2"),
    ("unfold any size", "unfold.default", f(lambda x: x.unfold(-1, 4, 3)), "N L"),
    ("repeat_interleave", "expand.default", f(lambda x: x.repeat_interleave(3, 1)), "N L"),
    ("one_hot", "eq.Tensor", f(lambda x: F.one_hot(x, 5)), "int64 N L 0..4"),
    ("pool over all", "amax.default", f(over_all), "N L 3"),
    # What TFLite's converter turns round, and bits.
    ("one less the rest", "sub.Tensor", f(lambda x: (1 - x.transpose(1, 2)).sum(1)), "N L 3"),
    ("one over the rest", "reciprocal.default", f(lambda x: 1 / x.transpose(1, 2)), "N L 3 1..2"),
    ("number over the rest", "div.Tensor",
     f(lambda x, y: y.sum() / torch.sigmoid(x.transpose(1, 2))), "N L 3", "2"),
    ("shift left", "__lshift__.Scalar", f(lambda x: x << 3), "int64 N 3 -9..9"),
    ("shift right", "__rshift__.Scalar", f(lambda x: x >> 1), "int32 N 3 -9..9"),
    ("shifts by tensors", "__lshift__.Tensor", f(lambda x, y: x << y), "int32 N 3", "int32 3 0..4"),
    ("shifts right by tensors", "__rshift__.Tensor", f(lambda x, y: x >> y), "int32 N 3",
     "int32 3 0..4"),
    ("bitwise left", "bitwise_left_shift.Tensor", f(torch_op("bitwise_left_shift")), "int64 N 3",
     "int64 3 0..4"),
    ("bitwise right", "bitwise_right_shift.Tensor", f(torch_op("bitwise_right_shift")),
     "int64 N 3", "int64 3 0..4"),
    # Products.
    ("einsum of three", "bmm.default", f(lambda x, y: torch.einsum("bik,ij,bjk->b", x, y, x)),
     "N 4 L", "4 4"),
    ("outer", "mul.Tensor", f(lambda x, y: torch.outer(x, y)), "N", "L"),
    ("cdist", "_cdist_forward.default", f(lambda x, y: torch.cdist(x, y)), "N L 3", "N 4 3"),
    ("cdist of many", "_cdist_forward.default",
     f(lambda x: torch.cdist(x, x.flip(0), p=1.0)), "N 3"),
    # Embeddings.
    ("bag sum", "sum.dim_IntList", bag("sum"), "int64 N L 0..8"),
    ("bag mean", "mean.dim", bag("mean"), "int64 N L 0..8"),
    ("bag max padded", "amax.default", bag("max", padding_idx=2), "int64 N 1 0..8"),
    ("bag mean padded", "sum.dim_IntList", bag("mean", padding_idx=-2), "int64 N L 6..8"),
    ("bag weighted", "sum.dim_IntList", bag("sum"), "int64 N L 0..8", "N L"),
    *((f"bag {mode} by offsets", "_embedding_bag.default", bag(mode, True), "int64 7 0..8")
      for mode in ("sum", "mean", "max")),
    ("bag by offsets padded", "_embedding_bag.default", bag("mean", True, padding_idx=1),
     "int64 7 0..2"),
    # Attention.
    ("attention plain", "matmul.default", f(F.scaled_dot_product_attention), HEADS, HEADS, HEADS),
    ("attention causal", "matmul.default", f(causal), HEADS, HEADS, HEADS),
    ("attention grouped", "matmul.default", f(grouped), "N 4 L 4", HEADS, HEADS),
    ("attention masked", "matmul.default",
     f(lambda q, m: F.scaled_dot_product_attention(q, q, q, attn_mask=m)), HEADS, "bool N 1 1 L"),
    ("multihead", "bmm.default", multihead(), "N L 8"),
    ("multihead causal", "bmm.default", multihead(masked=True), "N L 8"),
    ("multihead padding", "bmm.default", multihead(add_bias_kv=True), "N L 8", "bool N L"),
    ("encoder", "native_layer_norm.default", encoder(), "N L 8"),
    ("encoder norm first", "native_layer_norm.default",
     encoder(norm_first=True, activation="gelu"), "N L 8"),
    # Recurrent layers.
    ("lstm", LSTM, made("LSTM", 4, 5, batch_first=True), "N L 4"),
    ("lstm deep both ways", LSTM, made("LSTM", 4, 5, 2, bidirectional=True), "L N 4"),
    ("lstm no bias", LSTM, made("LSTM", 4, 5, bias=False), "L N 4"),
    ("lstm from a state", LSTM, made("LSTM", 4, 5, 2), "L N 4", "2 N 5", "2 N 5"),
    ("lstm projected", LSTM,
     made("LSTM", 4, 5, 2, proj_size=3, bidirectional=True, batch_first=True), "N L 4",
     "4 N 3", "4 N 5"),
    ("lstm without batch", LSTM, made("LSTM", 4, 5), "L 4"),
    ("lstm packed", LSTM, packed("LSTM", bidirectional=True), "12 N 4", "int64 N 1..12"),
    ("lstm packed shorter", LSTM, packed("LSTM", False, batch_first=True), "N 12 4",
     "int64 N 1..12"),
    ("gru", RNN, made("GRU", 4, 5, batch_first=True), "N L 4"),
    ("gru deep both ways", RNN, made("GRU", 4, 5, 2, bidirectional=True), "L N 4", "4 N 5"),
    ("gru no bias", RNN, made("GRU", 4, 5, bias=False), "7 N 4"),
    ("packed by length", "empty.memory_format", packed("GRU", True), "12 N 4", "int64 N 1..12"),
    ("gru packed", RNN, packed("GRU", num_layers=2, batch_first=True), "N 12 4",
     "int64 N 1..12"),
    ("rnn tanh", RNN, made("RNN", 4, 5, bidirectional=True), "L N 4"),
    ("rnn relu", RNN, made("RNN", 4, 5, nonlinearity="relu", batch_first=True), "N L 4"),
]  # fmt: skip
