"""PyTorch to TensorFlow, op by op.

`torch.export` turns the model into a graph of ATen ops, and every op becomes a few native
TensorFlow ops: no library call wrapped in a graph, no Python left in the file.

- `table` : the table, ATen op -> small function, filled by one file a family of ops.
- `value` : a tensor and the order in which its axes lie in memory.
- `weight` : parameters and buffers, one `tf.Variable` each.
- `program` : `torch.export` and its decompositions.
- `translate` : walks the graph.
- `saved_model` : the way in, `write_saved_model`.
- `coverage` : the table in ``docs/coverage.md``.

To add an op, write one function in the file of its family, decorated with its ATen name::

    @aten("hypot.default")
    def hypot(x: Value, y: Value) -> Value:
        return elementwise(tf.math.hypot, x, y)

and one row in ``tests/convert/bridge_cases.py``; a test fails until the row is there.
"""
