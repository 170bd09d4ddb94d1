"""PyTorch models over sequences, tables and indices, as people write them.

Every factory returns ``(model, example inputs)`` at batch 2. `DYNAMIC` names the axes other than
the batch that may change, `RANGES` what integers mean.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

VOCABULARY = 60
WIDTH = 16
LENGTH = 10


def ids(*shape: int, high: int = VOCABULARY, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, high, shape or (2, LENGTH))


def floats(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def padding_mask(length: int = LENGTH) -> Any:
    mask = np.ones((2, length), np.int64)
    mask[1, length - 3 :] = 0
    return mask


def ready(model: nn.Module) -> nn.Module:
    """Give BatchNorm statistics that are not the trivial ones, and switch to inference."""
    generator = torch.Generator().manual_seed(7)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for tensor, low, high in (
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2.0),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.5, 0.5),
            ):
                tensor.uniform_(low, high, generator=generator)
    return model.eval()


class BertLayer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.dense = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width, eps=1e-12)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(0.1)

    def split(self, x: Tensor) -> Tensor:
        x = x.view(x.size(0), x.size(1), self.heads, x.size(2) // self.heads)
        return x.permute(0, 2, 1, 3)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
        scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(q.size(-1))
        probabilities = self.dropout(F.softmax(scores + mask, dim=-1))
        context = torch.matmul(probabilities, v).permute(0, 2, 1, 3).contiguous()
        context = context.view(*context.size()[:-2], x.size(-1))
        x = self.attention_norm(x + self.dropout(self.dense(context)))
        return self.norm(x + self.dropout(self.down(F.gelu(self.up(x)))))


class Bert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, WIDTH, padding_idx=0)
        self.positions = nn.Embedding(64, WIDTH)
        self.types = nn.Embedding(2, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.layers = nn.ModuleList(BertLayer(WIDTH, 4) for _ in range(2))
        self.pooler = nn.Linear(WIDTH, WIDTH)
        self.register_buffer("position_ids", torch.arange(64).expand((1, -1)))

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor
    ) -> dict[str, Tensor]:
        length = input_ids.size(1)
        x = self.words(input_ids) + self.types(token_type_ids)
        x = self.norm(x + self.positions(self.position_ids[:, :length]))
        mask = attention_mask[:, None, None, :].to(x.dtype)
        mask = (1.0 - mask) * torch.finfo(x.dtype).min
        for layer in self.layers:
            x = layer(x, mask)
        return {
            "last_hidden_state": x,
            "pooler_output": torch.tanh(self.pooler(x[:, 0])),
        }


def bert() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    inputs = {
        "input_ids": ids(),
        "attention_mask": padding_mask(),
        "token_type_ids": ids(2, LENGTH, high=2),
    }
    return ready(Bert()), inputs


class CausalSelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        b, t, c = x.shape
        q, k, v = self.qkv(x).split(c, dim=2)
        q, k, v = (part.view(b, t, 4, c // 4).transpose(1, 2) for part in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).contiguous().view(b, t, c))


class Gpt(nn.Module):
    def __init__(self, block_size: int = 64) -> None:
        super().__init__()
        self.block_size = block_size
        self.wte = nn.Embedding(VOCABULARY, WIDTH)
        self.wpe = nn.Embedding(block_size, WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(4))
        self.attentions = nn.ModuleList(CausalSelfAttention() for _ in range(2))
        self.mlps = nn.ModuleList(
            nn.Sequential(
                nn.Linear(WIDTH, 4 * WIDTH),
                nn.GELU(approximate="tanh"),
                nn.Linear(4 * WIDTH, WIDTH),
            )
            for _ in range(2)
        )
        self.final = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.head.weight = self.wte.weight

    def forward(self, idx: Tensor) -> Tensor:
        _, t = idx.size()
        assert t <= self.block_size, f"cannot forward {t} tokens, block size is {self.block_size}"
        x = self.wte(idx) + self.wpe(torch.arange(0, t, dtype=torch.long, device=idx.device))
        for i, (attention, mlp) in enumerate(zip(self.attentions, self.mlps, strict=True)):
            x = x + attention(self.norms[2 * i](x))
            x = x + mlp(self.norms[2 * i + 1](x))
        return self.head(self.final(x))


def gpt() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(Gpt()), (ids(),)


class ManualCausal(nn.Module):
    """Attention whose causal mask is cut out of a registered triangle."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.attention = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, VOCABULARY)
        self.register_buffer("bias", torch.tril(torch.ones(64, 64)).view(1, 1, 64, 64))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        x = self.embedding(tokens)
        b, t, c = x.size()
        q, k, v = self.attention(x).chunk(3, dim=-1)
        q, k, v = (part.reshape(b, t, 2, c // 2).transpose(1, 2) for part in (q, k, v))
        scores = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        scores = scores.masked_fill(self.bias[:, :, :t, :t] == 0, float("-inf"))
        weights = F.softmax(scores, dim=-1)
        y = (weights @ v).transpose(1, 2).reshape(b, t, c)
        logits = self.out(y)
        return logits[:, [-1], :], logits.argmax(-1)


def gpt_manual() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(ManualCausal()), (ids(),)


class SinusoidalPositions(nn.Module):
    def __init__(self, width: int, longest: int = 100) -> None:
        super().__init__()
        position = torch.arange(longest).unsqueeze(1)
        rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
        table = torch.zeros(1, longest, width)
        table[0, :, 0::2] = torch.sin(position * rate)
        table[0, :, 1::2] = torch.cos(position * rate)
        self.register_buffer("pe", table)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pe[:, : x.size(1)]


class TransformerClassifier(nn.Module):
    def __init__(self, norm_first: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH, padding_idx=0)
        self.positions = SinusoidalPositions(WIDTH)
        layer = nn.TransformerEncoderLayer(
            WIDTH, 4, 32, dropout=0.1, batch_first=True, norm_first=norm_first
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        padding = tokens == 0
        padding = padding & (torch.arange(tokens.shape[1]) > 0)
        x = self.positions(self.embedding(tokens) * math.sqrt(WIDTH))
        x = self.encoder(x, src_key_padding_mask=padding)
        kept = (~padding).unsqueeze(-1).float()
        return self.head((x * kept).sum(1) / kept.sum(1).clamp(min=1e-9))


def transformer_encoder() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    tokens = ids()
    tokens[1, 6:] = 0
    return ready(TransformerClassifier()), (tokens,)


class Translator(nn.Module):
    """`nn.Transformer` with both masks."""

    def __init__(self) -> None:
        super().__init__()
        self.source = nn.Embedding(VOCABULARY, WIDTH)
        self.target = nn.Embedding(VOCABULARY, WIDTH)
        self.transformer = nn.Transformer(WIDTH, 2, 1, 1, 32, batch_first=True, dropout=0.0)
        self.generator = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, src: Tensor, tgt: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(tgt.size(1))
        y = self.transformer(self.source(src), self.target(tgt), tgt_mask=mask)
        return F.log_softmax(self.generator(y), dim=-1)


def transformer_seq2seq() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(Translator()), (ids(2, 10), ids(2, 7, seed=1))


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH, padding_idx=0)
        self.lstm = nn.LSTM(
            WIDTH, 12, num_layers=2, bidirectional=True, batch_first=True, dropout=0.3
        )
        self.dropout = nn.Dropout(0.3)
        self.tags = nn.Linear(24, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        x, _ = self.lstm(self.embedding(tokens))
        return self.tags(self.dropout(x))


def bilstm_tagger() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(Tagger()), (ids(),)


class LastStep(nn.Module):
    """The output of a GRU at each sequence's own end."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(6, WIDTH, batch_first=True)
        self.norm = nn.BatchNorm1d(WIDTH)
        self.head = nn.Linear(WIDTH, 2)

    def forward(self, series: Tensor, lengths: Tensor) -> Tensor:
        y, _ = self.gru(series)
        rows = torch.arange(y.size(0), device=y.device)
        ends = y[rows, lengths - 1]
        same = y.gather(1, (lengths - 1).view(-1, 1, 1).expand(-1, 1, y.size(2))).squeeze(1)
        return self.head(self.norm(ends + same))


def gru_lengths() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(LastStep()), (floats(2, LENGTH, 6), np.array([LENGTH, 6]))


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.lstm = nn.LSTM(WIDTH, 8, batch_first=True, bidirectional=True)
        self.head = nn.Linear(16, 4)

    def forward(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        packed = pack_padded_sequence(
            self.embedding(tokens), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        y, (h, _) = self.lstm(packed)
        y, _ = pad_packed_sequence(y, batch_first=True, total_length=tokens.size(1))
        return self.head(y), self.head(torch.cat([h[-2], h[-1]], dim=1))


def lstm_packed() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(Packed()), (ids(), np.array([6, LENGTH]))


class Seq2Seq(nn.Module):
    """Encoder, decoder with attention over its outputs (teacher forcing)."""

    def __init__(self) -> None:
        super().__init__()
        self.source = nn.Embedding(VOCABULARY, WIDTH)
        self.target = nn.Embedding(VOCABULARY, WIDTH)
        self.encoder = nn.LSTM(WIDTH, WIDTH, 2)
        self.decoder = nn.LSTM(WIDTH, WIDTH, 2)
        self.out = nn.Linear(2 * WIDTH, VOCABULARY)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        memory, state = self.encoder(self.source(source).permute(1, 0, 2))
        y, _ = self.decoder(self.target(target).permute(1, 0, 2), state)
        y, memory = y.permute(1, 0, 2), memory.permute(1, 0, 2)
        weights = torch.softmax(torch.bmm(y, memory.transpose(1, 2)), dim=-1)
        return self.out(torch.cat((y, torch.bmm(weights, memory)), dim=-1))


def lstm_seq2seq() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(Seq2Seq()), (ids(2, 9), ids(2, 7, seed=1))


class TwoTowers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.users = nn.Embedding(100, 8)
        self.items = nn.Embedding(200, 8)
        self.user_tower = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU())
        self.item_tower = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU())
        self.user_bias = nn.Embedding(100, 1)

    def forward(self, user_id: Tensor, item_id: Tensor) -> Tensor:
        u = F.normalize(self.user_tower(self.users(user_id)), dim=-1)
        i = F.normalize(self.item_tower(self.items(item_id)), dim=-1)
        return torch.sigmoid((u * i).sum(-1) + self.user_bias(user_id).squeeze(-1))


def recommender() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(TwoTowers()), (ids(2, high=100), ids(2, high=200))


class BagClassifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.EmbeddingBag(VOCABULARY, WIDTH, mode="mean")
        self.largest = nn.EmbeddingBag(VOCABULARY, WIDTH, mode="max")
        self.head = nn.Sequential(nn.Linear(2 * WIDTH, 16), nn.ReLU(), nn.Linear(16, 4))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(torch.cat([self.mean(tokens), self.largest(tokens)], dim=1))


def embedding_bag() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(BagClassifier()), (ids(),)


class DeepFM(nn.Module):
    def __init__(self, fields: tuple[int, ...] = (10, 20, 30), dense: int = 4) -> None:
        super().__init__()
        self.register_buffer("offsets", torch.tensor([0, *np.cumsum(fields)[:-1]]))
        self.linear = nn.Embedding(sum(fields), 1)
        self.embedding = nn.Embedding(sum(fields), 8)
        self.dense = nn.Linear(dense, 8)
        self.cross = nn.Parameter(torch.randn(4, 4))
        self.mlp = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        index = x["categories"] + self.offsets
        vectors = torch.cat([self.embedding(index), self.dense(x["numbers"]).unsqueeze(1)], 1)
        fm = 0.5 * (vectors.sum(1).pow(2) - vectors.pow(2).sum(1)).sum(1, keepdim=True)
        crossed = torch.einsum("bik,ij,bjk->b", vectors, self.cross, vectors).unsqueeze(1)
        pairs = torch.einsum("bik,bjk->bij", vectors, vectors)
        i, j = torch.triu_indices(4, 4, offset=1)
        logit = self.linear(index).sum(1) + fm + crossed + self.mlp(vectors.flatten(1))
        return {"score": torch.sigmoid(logit), "pairs": pairs[:, i, j]}


def deepfm() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(DeepFM()), ({"categories": ids(2, 3, high=10), "numbers": floats(2, 4)},)


class Pointer(nn.Module):
    """Scores places, and gathers the best."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(5, WIDTH)
        self.score = nn.Linear(WIDTH, 1)
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = torch.tanh(self.embed(points))
        scores, places = self.score(x).squeeze(-1).topk(3, dim=1)
        picked = torch.gather(x, 1, places.unsqueeze(-1).expand(-1, -1, x.size(-1)))
        return self.head(picked), places, torch.softmax(scores, 1)


def pointer() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(Pointer()), (floats(2, LENGTH, 5),)


class MaskedPooling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.head = nn.Linear(3 * WIDTH, 4)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        x = self.embedding(tokens)
        running = torch.cumsum(x * mask.unsqueeze(-1), dim=1)
        count = mask.cumsum(1).clamp(min=1).unsqueeze(-1)
        average = running / count
        largest = x.masked_fill(~mask.unsqueeze(-1), -1e9).amax(1)
        spread = torch.where(mask.unsqueeze(-1), x, torch.zeros_like(x)).std(dim=1)
        return self.head(torch.cat([average[:, -1], largest, spread], dim=-1))


def masked_pooling() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(MaskedPooling()), (ids(), padding_mask().astype(bool))


def rotate_half(x: Tensor) -> Tensor:
    first, second = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return torch.cat((-second, first), dim=-1)


class RMSNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


class Llama(nn.Module):
    """Rotary positions, grouped queries, a causal mask made at run time, a gated MLP."""

    def __init__(self, heads: int = 4, groups: int = 2) -> None:
        super().__init__()
        self.heads, self.groups, self.size = heads, groups, WIDTH // heads
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.norm, self.final = RMSNorm(WIDTH), RMSNorm(WIDTH)
        self.q = nn.Linear(WIDTH, WIDTH, bias=False)
        self.k = nn.Linear(WIDTH, groups * self.size, bias=False)
        self.v = nn.Linear(WIDTH, groups * self.size, bias=False)
        self.o = nn.Linear(WIDTH, WIDTH, bias=False)
        self.gate = nn.Linear(WIDTH, 32, bias=False)
        self.up = nn.Linear(WIDTH, 32, bias=False)
        self.down = nn.Linear(32, WIDTH, bias=False)
        rate = 1.0 / (10000 ** (torch.arange(0, self.size, 2).float() / self.size))
        self.register_buffer("rate", rate)

    def forward(self, tokens: Tensor) -> Tensor:
        b, t = tokens.shape
        x = self.embedding(tokens)
        angles = torch.einsum("i,j->ij", torch.arange(t).float(), self.rate)
        angles = torch.cat((angles, angles), dim=-1)
        cos, sin = angles.cos(), angles.sin()
        y = self.norm(x)
        q = self.q(y).view(b, t, self.heads, self.size).transpose(1, 2)
        k = self.k(y).view(b, t, self.groups, self.size).transpose(1, 2)
        v = self.v(y).view(b, t, self.groups, self.size).transpose(1, 2)
        q, k = q * cos + rotate_half(q) * sin, k * cos + rotate_half(k) * sin
        k = k.repeat_interleave(self.heads // self.groups, dim=1)
        v = v.repeat_interleave(self.heads // self.groups, dim=1)
        causal = torch.full((t, t), float("-inf")).triu(1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=causal)
        x = x + self.o(y.transpose(1, 2).flatten(2))
        y = self.norm(x)
        x = x + self.down(F.silu(self.gate(y)) * self.up(y))
        return F.linear(self.final(x), self.embedding.weight)


def rotary() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(Llama()), (ids(),)


class Alibi(nn.Module):
    def __init__(self, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(6, WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        slopes = torch.tensor([2 ** (-8 * (i + 1) / heads) for i in range(heads)])
        self.register_buffer("slopes", slopes.view(1, heads, 1, 1))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.project(x)
        b, t, c = x.shape
        qkv = self.qkv(x).reshape(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        place = torch.arange(t, device=x.device)
        distance = (place[None, :] - place[:, None]).abs().float()
        scores = torch.einsum("bhid,bhjd->bhij", q, k) / math.sqrt(q.shape[-1])
        scores = scores - self.slopes * distance
        scores = scores.masked_fill(mask[:, None, None, :].logical_not(), torch.finfo(x.dtype).min)
        y = torch.einsum("bhij,bhjd->bihd", scores.softmax(-1), v)
        return y.reshape(b, t, c)


def alibi() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(Alibi()), (floats(2, LENGTH, 6), padding_mask().astype(bool))


class Tabular(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.randn(5))
        self.register_buffer("scale", torch.rand(5) + 0.5)
        self.register_buffer("edges", torch.tensor([-1.0, 0.0, 1.0]))
        self.net = nn.Sequential(
            nn.Linear(16, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.2), nn.Linear(24, 3)
        )

    def forward(self, numeric: Tensor, category: Tensor) -> tuple[Tensor, Tensor]:
        numeric = torch.where(torch.isnan(numeric), self.mean, numeric)
        scaled = ((numeric - self.mean) / self.scale).clamp(-3, 3)
        hot = F.one_hot(category, 7).float()
        bins = F.one_hot(torch.bucketize(numeric[:, 0], self.edges), 4)
        logits = self.net(torch.cat([scaled, hot, bins.to(scaled.dtype)], dim=1))
        return logits.softmax(-1), logits.argmax(dim=-1)


def tabular() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(Tabular()), (floats(2, 5), ids(2, high=7))


class MixtureOfExperts(nn.Module):
    def __init__(self, experts: int = 4, chosen: int = 2) -> None:
        super().__init__()
        self.chosen = chosen
        self.gate = nn.Linear(6, experts)
        self.up = nn.Parameter(torch.randn(experts, 6, 12) / 3)
        self.down = nn.Parameter(torch.randn(experts, 12, 6) / 4)

    def forward(self, x: Tensor) -> Tensor:
        values, index = torch.topk(self.gate(x), self.chosen, dim=-1)
        weights = torch.zeros_like(self.gate(x)).scatter(-1, index, values.softmax(-1))
        hidden = F.gelu(torch.einsum("btd,edh->bteh", x, self.up))
        outputs = torch.einsum("bteh,ehd->bted", hidden, self.down)
        return (outputs * weights.unsqueeze(-1)).sum(2)


def mixture_of_experts() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(MixtureOfExperts()), (floats(2, LENGTH, 6),)


class Temperature(nn.Module):
    """A scalar among the inputs, and one among the outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits = self.head(x) / temperature.clamp(min=0.1)
        return logits.softmax(-1), logits.logsumexp(-1), logits.abs().max()


def temperature() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(Temperature()), (floats(2, 6), np.array(0.7, np.float32))


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, 8)
        self.numbers = nn.Linear(4, 8)
        self.heads = nn.ModuleDict({"click": nn.Linear(16, 1), "buy": nn.Linear(16, 1)})

    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        text = self.words(batch["text"]["tokens"])
        mask = batch["text"]["mask"].unsqueeze(-1).to(text.dtype)
        pooled = (text * mask).sum(1) / mask.sum(1).clamp_min(1.0)
        x = torch.cat([pooled, torch.relu(self.numbers(batch["numbers"]))], -1)
        scores = {name: torch.sigmoid(head(x)).squeeze(-1) for name, head in self.heads.items()}
        return {"scores": scores, "features": [pooled, x]}


def nested() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    batch = {"text": {"tokens": ids(), "mask": padding_mask()}, "numbers": floats(2, 4)}
    return ready(Nested()), (batch,)


class TextCNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.convs = nn.ModuleList(nn.Conv1d(WIDTH, 8, k, padding=k // 2) for k in (2, 3, 5))
        self.norm = nn.BatchNorm1d(24)
        self.head = nn.Linear(24, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens).transpose(1, 2)
        pooled = [F.max_pool1d(c := F.relu(conv(x)), c.size(2)).squeeze(2) for conv in self.convs]
        return self.head(self.norm(torch.cat(pooled, dim=1)))


def text_cnn() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(TextCNN()), (ids(),)


class Viterbi(nn.Module):
    """The best path through six steps, found by a loop of fixed length."""

    def __init__(self, tags: int = 4, steps: int = 6) -> None:
        super().__init__()
        self.steps = steps
        self.emit = nn.Linear(5, tags)
        self.transitions = nn.Parameter(torch.randn(tags, tags))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        emissions = self.emit(x)
        score, pointers = emissions[:, 0], []
        for step in range(1, self.steps):
            best = score.unsqueeze(2) + self.transitions + emissions[:, step].unsqueeze(1)
            score, pointer = best.max(dim=1)
            pointers.append(pointer)
        value, tag = score.max(dim=1)
        path = [tag]
        for pointer in reversed(pointers):
            tag = pointer.gather(1, tag.unsqueeze(1)).squeeze(1)
            path.insert(0, tag)
        return value, torch.stack(path, dim=1)


def viterbi() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(Viterbi()), (floats(2, 6, 5),)


class ConvLSTM(nn.Module):
    def __init__(self, hidden: int = 4) -> None:
        super().__init__()
        self.hidden = hidden
        self.gates = nn.Conv2d(2 + hidden, 4 * hidden, 3, padding=1)
        self.head = nn.Conv2d(hidden, 1, 1)

    def forward(self, frames: Tensor) -> Tensor:
        b, steps, _, height, width = frames.shape
        h = frames.new_zeros(b, self.hidden, height, width)
        c = torch.zeros_like(h)
        for step in range(steps):
            gates = self.gates(torch.cat([frames[:, step], h], dim=1))
            i, f, o, g = torch.chunk(gates, 4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return self.head(h)


def conv_lstm() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(ConvLSTM()), (floats(2, 3, 2, 6, 6),)


class CellLoop(nn.Module):
    """Cells stepped by hand, the second fed with what the first gave."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTMCell(3, 8)
        self.gru = nn.GRUCell(8, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        h, c = x.new_zeros(x.size(0), 8), x.new_zeros(x.size(0), 8)
        g = torch.zeros(x.size(0), 8)
        outputs = []
        for step in x.unbind(1):
            h, c = self.lstm(step, (h, c))
            g = self.gru(h, g)
            outputs.append(self.head(g))
        return torch.stack(outputs, dim=1)


def cell_loop() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(CellLoop()), (floats(2, 5, 3),)


class SpeechGru(nn.Module):
    """Convolution, then recurrence over what time is left of it; a state goes in and out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv1d(4, 8, 5, stride=2, padding=2), nn.BatchNorm1d(8), nn.ReLU()
        )
        self.gru = nn.GRU(8, 6, num_layers=2, batch_first=True)
        self.rnn = nn.RNN(6, 6, nonlinearity="relu", batch_first=True, bidirectional=True)
        self.head = nn.Linear(12, 5)

    def forward(self, audio: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        x = self.conv(audio).transpose(1, 2)
        x, state = self.gru(x, state.transpose(0, 1).contiguous())
        x, _ = self.rnn(x)
        return F.log_softmax(self.head(x), dim=-1), state.transpose(0, 1)


def speech_gru() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(SpeechGru()), (floats(2, 4, 16), floats(2, 2, 6, seed=1))


class CrossAttention(nn.Module):
    """`nn.MultiheadAttention` with other keys, a padding mask, and its weights returned."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, 4, kdim=6, vdim=6, batch_first=True)
        self.norm = nn.LayerNorm(WIDTH)
        self.queries = nn.Parameter(torch.randn(1, 3, WIDTH))

    def forward(self, memory: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
        q = self.queries.expand(memory.size(0), -1, -1)
        y, weights = self.attention(q, memory, memory, key_padding_mask=padding)
        return self.norm(q + y), weights


def cross_attention() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    return ready(CrossAttention()), (floats(2, LENGTH, 6), ~padding_mask().astype(bool))


MODELS = {
    factory.__name__: factory
    for factory in (
        bert, gpt, gpt_manual, transformer_encoder, transformer_seq2seq, bilstm_tagger,
        gru_lengths, lstm_packed, lstm_seq2seq, recommender, embedding_bag, deepfm, pointer,
        masked_pooling, rotary, alibi, tabular, mixture_of_experts, temperature, nested, text_cnn,
        viterbi, conv_lstm, cell_loop, speech_gru, cross_attention,
    )
}  # fmt: skip

DYNAMIC = {
    "bert": "input_ids:1=seq,attention_mask:1=seq,token_type_ids:1=seq",
    "gpt": "idx:1=seq",
    "gpt_manual": "tokens:1=seq",
    "transformer_encoder": "tokens:1=seq",
    "transformer_seq2seq": "src:1=source,tgt:1=target",
    "bilstm_tagger": "tokens:1=seq",
    "gru_lengths": "series:1=seq",
    "lstm_packed": "tokens:1=seq",
    "lstm_seq2seq": "source:1=source,target:1=target",
    "embedding_bag": "tokens:1=seq",
    "pointer": "points:1=seq",
    "masked_pooling": "tokens:1=seq,mask:1=seq",
    "rotary": "tokens:1=seq",
    "alibi": "x:1=seq,mask:1=seq",
    "mixture_of_experts": "x:1=seq",
    "nested": "text_tokens:1=seq,text_mask:1=seq",
    "text_cnn": "tokens:1=seq",
    "speech_gru": "audio:2=time",
    "cross_attention": "memory:1=seq,padding:1=seq",
}
