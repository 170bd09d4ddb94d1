"""Hugging Face folders: tiny random models, saved as ``transformers`` saves any."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.models.given import parse
from shipworthy.models.own import Opened, OwnModelError, open_own

pytest.importorskip("transformers", reason="the optional extra huggingface")
pytestmark = [
    pytest.mark.matrix,
    # torchao, which transformers imports where it is installed.
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
SMALL = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
}  # fmt: skip
WORDS = {"vocab_size": 60, "max_position_embeddings": 40}
GPT = {"n_embd": 16, "n_layer": 1, "n_head": 2, "vocab_size": 60, "n_positions": 40}
T5 = {"d_model": 16, "d_ff": 32, "num_layers": 1, "num_heads": 2, "d_kv": 8, "vocab_size": 60}
MASK = ("attention_mask", ("batch", "seq"), 1)
IDS = ("input_ids", ("batch", "seq"), 59)
MODELS: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "BertForSequenceClassification": (SMALL | WORDS, [IDS, MASK]),
    "GPT2LMHeadModel": (GPT, [IDS, MASK]),
    "ViTModel": (
        SMALL | {"image_size": 16, "patch_size": 4},
        [("pixel_values", ("batch", 3, 16, 16), None)],
    ),
    "T5ForConditionalGeneration": (
        T5, [IDS, MASK, ("decoder_input_ids", ("batch", "target"), 59)],
    ),
}  # fmt: skip


def save(name: str, folder: Path) -> Any:
    import torch
    import transformers

    torch.manual_seed(0)
    kind = getattr(transformers, name)
    model = kind(kind.config_class(**MODELS[name][0])).eval()
    model.save_pretrained(folder)
    return model


def load(path: Path, **options: Any) -> Opened:
    return open_own(parse(str(path), **options))


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(OwnModelError) as caught:
        load(path, **options)
    return str(caught.value)


@pytest.mark.parametrize("name", list(MODELS))
def test_the_inputs_come_from_the_configuration(name: str, tmp_path: Path) -> None:
    import torch

    saved = save(name, tmp_path / "model")
    opened = load(tmp_path / "model")
    assert type(opened.model) is type(saved)
    assert not opened.model.training
    assert [(s.name, s.shape, s.high) for s in opened.specs] == MODELS[name][1]
    assert opened.kwargs is not None
    with torch.no_grad():
        found = opened.model(**opened.kwargs)
        expected = saved(**opened.kwargs, use_cache=False) if "ViT" not in name else saved(
            **opened.kwargs
        )  # fmt: skip
    assert "past_key_values" not in found
    for one, other in zip(found.values(), expected.values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def changed(tmp_path: Path, **config: Any) -> Path:
    folder = tmp_path / "model"
    save("BertForSequenceClassification", folder)
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    return folder


def test_pickled_weights_are_not_loaded(tmp_path: Path) -> None:
    folder = changed(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "safe_serialization=True" in refusal(folder)
    (folder / "pytorch_model.bin").unlink()
    assert "holds no weights" in refusal(folder)


def test_code_in_the_folder_is_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    folder = changed(tmp_path, auto_map={"AutoModel": "theirs.Model"})
    (folder / "theirs.py").write_text(f"open({str(mark)!r}, 'w')\n")
    assert "--trust" in refusal(folder)
    assert not mark.exists()


def test_an_architecture_that_is_not_there(tmp_path: Path) -> None:
    assert "is a NoSuchModel" in refusal(changed(tmp_path, architectures=["NoSuchModel"]))


def test_weights_that_are_missing_are_not_made_up(tmp_path: Path) -> None:
    import transformers

    folder = changed(tmp_path)
    base = transformers.BertModel(transformers.BertConfig(**(SMALL | WORDS)))
    base.save_pretrained(tmp_path / "base")
    shutil.copy(tmp_path / "base/model.safetensors", folder)
    told = refusal(folder)
    assert "lack 2" in told
    assert "classifier.weight" in told


def test_damaged_folders(tmp_path: Path) -> None:
    folder = changed(tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-500])
    assert "cannot load" in refusal(folder)
    (folder / "config.json").write_text("{")
    assert "is damaged" in refusal(folder)
    (folder / "config.json").write_text("{}")
    assert "names no model_type" in refusal(folder)
