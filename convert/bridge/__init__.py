"""PyTorch to TensorFlow, op by op.

`torch.export` turns the model into a graph of ATen ops, and every op becomes a few native
TensorFlow ops: no library call wrapped in a graph, no Python left in the file.

- `table` : the table, ATen op -> small function, filled by one file a family of ops.
- `value` : a tensor and the order in which its axes lie in memory.
- `weight` : parameters and buffers, one `tf.Variable` each.
- `program` : `torch.export` and its decompositions.
- `translate` : walks the graph; holds every result against PyTorch's own shape and dtype.
- `problems` : what is said of a model that the bridge cannot take.
- `saved_model` : the way in, `write_saved_model`.
- `coverage` : the table in ``docs/coverage.md``.

To add an op, write one function in the file of its family, decorated with its ATen name::

    @aten("sinc.default")
    def sinc(x: Value) -> Value:
        return x.like(tf.experimental.numpy.sinc(x.tensor))

and one row in ``tests/convert/bridge_cases_*.py`` (a test fails until it is there)::

    ("sinc", "sinc.default", f(lambda x: torch.sinc(x)), "N 5"),

Then generate the coverage page again (`coverage` says how).
"""
