"""ONNX to PyTorch, op by op: the second table of the bridge.

`import_onnx` turns a file into a `torch.nn.Module` that can be traced by `torch.jit.trace` and
exported by `torch.export` as any other, dynamic axes included.

- `table` : the table, ONNX op -> small function, filled by one file a family of ops.
- `node` : one node of the graph, its attributes, and what is known of its inputs' shapes.
- `number` : small values that carry shapes, kept apart from tensors; `size_ops` computes on them,
  `size_layout` rearranges them.
- `plan` : reads the graph, folds what is constant, leaves out what nothing needs.
- `evaluate` : runs nodes. `control` : loops and branches.
- `module` : the way in, `import_onnx`.

To add an op, write one function in the file of its family, decorated with its ONNX name::

    @onnx_op("Det", since=11)
    def det(node: Node, x: Tensor) -> Tensor:
        return torch.linalg.det(x)

and one row in ``tests/convert/importer_cases_*.py`` (a test fails until it is there). What an op
means is said at ``onnx.ai/onnx/operators``; `since` is the first opset whose meaning is the
function's.
"""
