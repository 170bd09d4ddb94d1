"""TFLite: a flatbuffer for LiteRT, the runtime on phones and small devices.

Load it with ``ai_edge_litert.interpreter.Interpreter(path)``. It has one signature whose inputs
and outputs have the canonical names, and builtin operators only: LiteRT has no Flex delegate.
"""

from __future__ import annotations

import re
import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shipworthy.convert.artifact import Artifact
from shipworthy.convert.calling import (
    adapt_torch,
    example_tensors,
    fixed_sizes,
    identifiers,
    keep_names,
)
from shipworthy.convert.formats.saved_model import SIGNATURE, TAG
from shipworthy.convert.formats.tflite_outputs import settle_outputs
from shipworthy.convert.formats.tflite_reshape import fix_reshapes
from shipworthy.convert.original import first_line
from shipworthy.convert.replay_script import unscript
from shipworthy.convert.rewrite.prepare import Prepared, prepare
from shipworthy.convert.routes import Converted, UnsupportedModelError, hop
from shipworthy.models.spec import Signature, Source

WIDE = ("float64", "int64")


@hop(
    "pytorch",
    "tflite",
    packages=("litert-torch", "litert-converter", "torch"),
    kinds=("module", "exported_program", "torchscript"),
    static=True,
)
def from_pytorch(original: Any, source: Source, path: Path) -> Converted:
    """Convert a `torch.nn.Module` with LiteRT Torch, at fixed sizes."""
    import litert_torch

    signature = source.signature
    sizes = fixed_sizes(signature)
    names = [spec.name for spec in signature.inputs]
    # What is given by keyword and returned in a dict keeps its name.
    arguments = dict(zip(identifiers(names), example_tensors(signature, sizes), strict=True))
    wide = any(spec.dtype in WIDE for spec in (*signature.inputs, *signature.outputs))
    try:
        model = litert_torch.signature(
            SIGNATURE,
            adapt_torch(unscript(original), signature, named=True),
            sample_kwargs=arguments,
        ).convert(enable_x64=wide)
    except Exception as e:
        why = textwrap.shorten(first_line(e), 300)  # a whole operator may stand in that line
        raise UnsupportedModelError(f"LiteRT Torch cannot convert the model: {why}") from e
    model.export(str(path))
    told = ", ".join(f"{axis} is {size}" for axis, size in sizes.items())
    return _converted(
        signature,
        dict(zip(names, arguments, strict=True)),
        path,
        fixed_axes=sizes,
        options={"fixed_sizes": sizes, "enable_x64": wide},
        notes=(f"LiteRT Torch converts fixed shapes only: {told}.",) if sizes else (),
    )


@hop("saved_model", "tflite", packages=("tensorflow", "ai-edge-litert", "flatbuffers"))
def from_saved_model(original: Artifact, source: Source, path: Path) -> Converted:
    """Convert the parent SavedModel with `tf.lite.TFLiteConverter`."""
    prepared = prepare(original.path, "tflite", narrow=not _is_wide(source.signature))
    content = _convert(prepared)
    content, count = fix_reshapes(content)
    content, copied = settle_outputs(content)
    path.write_bytes(content)
    options = {
        "operators": ["TFLITE_BUILTINS"],
        "static_reshapes": count,
        "copied_outputs": copied,
        "replaced_operators": sorted(prepared.replaced),
    }
    notes: tuple[str, ...] = ()
    if prepared.narrowed:
        notes = (
            f"TFLite has no float64 arithmetic: {len(prepared.narrowed)} operators, the first "
            f"at {prepared.narrowed[0]}, compute in float32.",
        )
    given = [spec.name for spec in source.signature.inputs]
    aliases = dict(zip(given, identifiers(given), strict=True))  # TensorFlow's arguments
    return _converted(source.signature, aliases, path, options=options, notes=notes)


def _is_wide(signature: Signature) -> bool:
    return any(spec.dtype == "float64" for spec in (*signature.inputs, *signature.outputs))


def _convert(prepared: Prepared) -> bytes:
    """Convert a prepared function by way of a SavedModel, which keeps the names."""
    import tensorflow as tf

    module = tf.Module()
    module.weights = list(prepared.concrete.variables)
    with tempfile.TemporaryDirectory(prefix="shipworthy-tflite-") as folder:
        tf.saved_model.save(
            module,
            folder,
            signatures={SIGNATURE: prepared.concrete},
            options=tf.saved_model.SaveOptions(experimental_custom_gradients=False),
        )
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=[SIGNATURE], tags={TAG}
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        # Masks hold infinities; by default they become the largest finite numbers.
        converter.canonicalizing_inf_as_min_max_float = False
        try:
            return bytes(converter.convert())
        except Exception as e:
            raise UnsupportedModelError(_why_refused(e)) from e


def _converted(
    signature: Signature,
    aliases: Mapping[str, str],
    path: Path,
    *,
    options: Mapping[str, Any],
    fixed_axes: Mapping[str, int] | None = None,
    notes: tuple[str, ...] = (),
) -> Converted:
    """Say what the file holds, from the names that stand in it."""
    inputs, outputs = native_names(path)
    return Converted(
        inputs=keep_names(signature.inputs, inputs, path.name, aliases),
        outputs=keep_names(signature.outputs, outputs, path.name, {}),
        fixed_axes=dict(fixed_axes or {}),
        options={"signature": SIGNATURE, **options},
        notes=notes,
    )


def native_names(path: Path) -> tuple[list[str], list[str]]:
    """Read the names of the inputs and outputs of a TFLite file's first signature.

    Parameters
    ----------
    path : the file, which is parsed but not run.

    Raises
    ------
    ValueError : the file has no signature.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    if model.SignatureDefsLength() == 0:
        raise ValueError(f"{path} has no signature; its inputs and outputs have no names")
    first = model.SignatureDefs(0)
    return (
        [first.Inputs(i).Name().decode() for i in range(first.InputsLength())],
        [first.Outputs(i).Name().decode() for i in range(first.OutputsLength())],
    )


# Such as: loc(fused["AvgPool3D:", "net/pool/AvgPool3D@__inference_infer_5"] ...): 'tf.AvgPool3D' op
# is neither a custom op nor a flex op
_REFUSED = re.compile(r'fused\["\w+:", "([^"@]+)[^\n]*?\)\): \'tf\.(\w+)\' op ([^\n]+)')


def _why_refused(error: Exception) -> str:
    """Name the operators that TFLite lacks, out of pages of compiler output."""
    found = {
        kind: f"{kind} (at {where}: {why})" for where, kind, why in _REFUSED.findall(str(error))
    }
    if not found:
        return f"TFLiteConverter cannot convert the model: {first_line(error)}"
    return (
        f"TFLite's builtin operators cannot express {', '.join(found.values())}, and LiteRT cannot "
        "run TensorFlow's own. Write the layer with other operations, or deploy another format"
    )
