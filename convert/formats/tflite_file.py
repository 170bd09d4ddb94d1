"""A TFLite file that is rewritten: the names in it, what it may be, and how it is written back."""

from __future__ import annotations

from typing import Any, TypeAlias

# A flatbuffer's offsets are 32 bits wide and signed; what is larger keeps its buffers outside.
LARGEST_BYTES = 2_000_000_000
# ``data:[ubyte] (force_align: 16)`` in schema.fbs, which flatc's Python writer does not heed.
ALIGNMENT_BYTES = 16

Tree: TypeAlias = Any  # flatc's classes for schema.fbs carry no types


def operator_names(model: Tree) -> list[str | None]:
    """Return the name of each of the file's operator codes; None for a custom one."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    kinds = {code: name for name, code in vars(BuiltinOperator).items()}
    # A code above 126 stands in the newer field alone, an old file's in the older one.
    return [kinds.get(max(c.builtinCode, c.deprecatedBuiltinCode)) for c in model.operatorCodes]


def lies_outside(model: Tree) -> bool:
    """Tell whether data is addressed by its place in the file, or is in another file."""
    graphs = model.subgraphs or ()
    return bool(
        model.externalBuffers
        or any(buffer.offset or buffer.size for buffer in model.buffers)
        or any(tensor.externalBuffer for graph in graphs for tensor in graph.tensors)
        or any(op.largeCustomOptionsOffset for graph in graphs for op in graph.operators or ())
    )


def pack(model: Tree, expected_bytes: int) -> bytes:
    """Write the file, each buffer where the runtime may read it in place."""
    import flatbuffers  # type: ignore[import-untyped]
    from ai_edge_litert.schema_py_generated import BufferT

    class Aligned(BufferT):  # type: ignore[misc]
        def Pack(self, builder: Any) -> int:
            if self.data is not None:
                builder.Prep(ALIGNMENT_BYTES, len(self.data))
            return int(super().Pack(builder))

    model.buffers = [Aligned(buffer.data) for buffer in model.buffers]
    builder = flatbuffers.Builder(expected_bytes + 65536)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
