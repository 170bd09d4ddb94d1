"""A local Hugging Face folder: ``config.json`` beside safetensors, through ``transformers``.

Nothing is fetched. Pickled weights (``pytorch_model.bin``) and code in the folder are not loaded;
the latter is with ``--trust``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shipworthy.models.given import Given
from shipworthy.models.own import Opened, OwnModelError
from shipworthy.models.spec import TensorSpec

_BATCH, _LENGTH = 2, 8
_TEXT = ("input_ids", "decoder_input_ids")


def load(given: Given) -> Opened:
    """Load the architecture that the configuration names, with its weights, in eval mode.

    The example inputs are made from the configuration.

    Raises
    ------
    OwnModelError : ``transformers`` is not installed, a damaged folder, weights that are no
        safetensors, code in the folder, or a kind of input that is not known here.
    """
    folder = Path(given.path)
    config = _read_config(folder)
    _check_weights(folder)
    if "auto_map" in config and not given.trust:
        raise OwnModelError(
            f"{folder} needs Python code that lies in it (auto_map in config.json), which is not "
            "run. If you trust where the folder comes from, say --trust"
        )
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when the library is imported
    try:
        import transformers
    except ImportError as e:
        raise OwnModelError(
            f"{folder} is a Hugging Face folder, which takes the transformers package: "
            'pip install "shipworthy[huggingface]"'
        ) from e
    model = _load(transformers, folder, config, trust=given.trust)
    specs = tuple(_inputs(model, folder))
    if not specs:
        raise OwnModelError(
            f"{type(model).__name__} takes {model.main_input_name!r}, and what that looks like is "
            "not in config.json; give the code that loads it and example inputs: file.py:NAME"
        )
    examples = {spec.name: _example(spec) for spec in specs}
    note = f"The architecture is {type(model).__name__}; its inputs are made from config.json."
    return Opened("pytorch", "module", model, (), examples, specs=specs, notes=(note,))


def _read_config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text())
    except (OSError, ValueError) as e:
        raise OwnModelError(f"{file} is damaged: {e}; copy the folder again") from e
    if not isinstance(config, dict) or "model_type" not in config:
        raise OwnModelError(
            f"{file} names no model_type, so it is not the configuration of a transformers model"
        )
    return config


def _check_weights(folder: Path) -> None:
    if any(folder.glob("*.safetensors")):
        return
    pickled = sorted(file.name for file in folder.glob("*.bin"))
    if pickled:
        raise OwnModelError(
            f"{folder} holds its weights as a pickle ({pickled[0]}), which is not loaded; write "
            "them as safetensors: model.save_pretrained(FOLDER, safe_serialization=True)"
        )
    raise OwnModelError(f"{folder} holds no weights: there is no .safetensors file in it")


def _load(transformers: Any, folder: Path, config: dict[str, Any], *, trust: bool) -> Any:
    names = config.get("architectures") or []
    foreign = "auto_map" in config  # the class is in the folder
    kind = None if foreign or not names else getattr(transformers, str(names[0]), None)
    if names and kind is None and not foreign:
        raise OwnModelError(
            f"{folder} is a {names[0]}, which transformers {transformers.__version__} does not have"
        )
    try:
        model, told = (kind or transformers.AutoModel).from_pretrained(
            str(folder),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=trust,
            attn_implementation="eager",
            output_loading_info=True,
        )
    except Exception as e:  # of many kinds, each about the folder
        lines = [line.strip() for line in str(e).splitlines() if line.strip()]
        raise OwnModelError(
            f"transformers cannot load {folder}: {type(e).__name__}: "
            f"{lines[0] if lines else 'no message'}"
        ) from e
    missing = sorted(told.get("missing_keys") or ())
    if missing:
        raise OwnModelError(
            f"the weights in {folder} lack {len(missing)} of {type(model).__name__}'s, which would "
            f"be random: {', '.join(missing[:4])}; train and save the whole model"
        )
    for part in model.modules():  # some have a copy of the configuration
        if hasattr(getattr(part, "config", None), "use_cache"):
            part.config.use_cache = False  # a cache of keys and values is no deployed output
    return model.eval()


def _parts(config: Any) -> Iterator[Any]:
    for name in ("text_config", "vision_config", "encoder", "decoder"):
        if (part := getattr(config, name, None)) is not None and not isinstance(part, dict):
            yield part


def _inputs(model: Any, folder: Path) -> Iterator[TensorSpec]:
    """Yield the inputs that the model's ``forward`` takes and its configuration describes."""
    import inspect

    config, main = model.config, model.main_input_name
    takes = inspect.signature(model.forward).parameters
    both = getattr(config, "text_config", None) and getattr(config, "vision_config", None)
    if "input_ids" in takes and (main == "input_ids" or both):
        words = _number(config, "vocab_size")
        yield TensorSpec("input_ids", "int64", ("batch", "seq"), 0, words - 1)
    if "pixel_values" in takes and (main == "pixel_values" or both):
        vision = getattr(config, "vision_config", None) or config
        shape = ("batch", _number(vision, "num_channels", 3), *_image_size(vision, folder))
        yield TensorSpec("pixel_values", "float32", shape)
    if main == "input_values":
        yield TensorSpec("input_values", "float32", ("batch", 4000))
    if main == "input_features":
        bins = _number(config, "num_mel_bins", 80)
        frames = 2 * _number(config, "max_source_positions", 1500)
        yield TensorSpec("input_features", "float32", ("batch", bins, frames))
    if main == "input_ids" and "attention_mask" in takes:
        yield TensorSpec("attention_mask", "int64", ("batch", "seq"), 0, 1)
    if getattr(config, "is_encoder_decoder", False) and "decoder_input_ids" in takes:
        words = _number(config, "vocab_size")
        yield TensorSpec("decoder_input_ids", "int64", ("batch", "target"), 0, words - 1)


def _number(config: Any, name: str, usual: int = 0) -> int:
    for part in (config, *_parts(config)):
        if isinstance(value := getattr(part, name, None), int):
            return value
    return usual


def _image_size(config: Any, folder: Path) -> tuple[int, int]:
    """Return the size that the model, or else its preprocessing, is configured for."""
    size = getattr(config, "image_size", None)
    file = folder / "preprocessor_config.json"
    if size is None and file.is_file():
        said = json.loads(file.read_text()).get("size")
        size = said.get("height", said.get("shortest_edge")) if isinstance(said, dict) else said
    if isinstance(size, list | tuple):
        return int(size[0]), int(size[-1])
    return (int(size), int(size)) if size else (224, 224)


def _example(spec: TensorSpec) -> Any:
    import torch

    sizes = {"batch": _BATCH, "seq": _LENGTH, "target": _LENGTH - 2}
    shape = spec.resolve(sizes)
    generator = torch.Generator().manual_seed(0)
    if spec.dtype != "int64":
        return torch.randn(shape, generator=generator)
    if spec.name not in _TEXT:
        return torch.ones(shape, dtype=torch.int64)
    return torch.randint(0, int(spec.high or 0) + 1, shape, generator=generator)
