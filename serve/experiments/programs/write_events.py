"""Writes event files with a framework's own writer, and reads them with TensorBoard's reader.

Arguments: ``pytorch`` or ``tensorflow``; ``beside`` (as installed) or ``alone`` (the package
tensorboard cannot be imported while the framework writes); an empty folder. Prints one line of
JSON: ``written``, ``readable`` (null without a reader) and ``detail``.
"""

import importlib.abc
import json
import sys
from importlib import metadata

TAG = "loss"
VALUES = [1.0, 0.5, 0.25]


class Hidden(importlib.abc.MetaPathFinder):
    """Refuses to import TensorBoard, as if it were not installed."""

    def find_spec(self, name, path, target=None):
        """See `importlib.abc.MetaPathFinder`."""
        if name.split(".")[0] == "tensorboard":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def write_pytorch(folder):
    """Write the values by PyTorch's own writer."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder) as writer:
        for step, value in enumerate(VALUES):
            writer.add_scalar(TAG, value, step)


def write_tensorflow(folder):
    """Write the values by TensorFlow's own writer."""
    import tensorflow as tf

    with tf.summary.create_file_writer(folder).as_default():
        for step, value in enumerate(VALUES):
            tf.summary.scalar(TAG, value, step=step)


def read(folder):
    """Return the values of the scalar, as TensorBoard's own reader finds them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(folder)
    events.Reload()
    tags = events.Tags()
    if TAG in tags["scalars"]:
        return [event.value for event in events.Scalars(TAG)]
    if TAG in tags["tensors"]:
        return [float(make_ndarray(event.tensor_proto)) for event in events.Tensors(TAG)]
    return []


def main(framework, way, folder):
    """Write, read back, and return what is to be printed."""
    hidden = Hidden()
    if way == "alone":
        sys.meta_path.insert(0, hidden)
    try:
        {"pytorch": write_pytorch, "tensorflow": write_tensorflow}[framework](folder)
    except Exception as e:
        told = str(e).strip().splitlines()
        return {
            "written": False, "readable": False,
            "detail": f"it cannot write: {type(e).__name__}: {told[0] if told else 'no message'}",
        }  # fmt: skip
    if way == "alone":
        sys.meta_path.remove(hidden)
    try:
        version = metadata.version("tensorboard")
    except metadata.PackageNotFoundError:
        return {"written": True, "readable": None, "detail": "no TensorBoard to read them with"}
    values = read(folder)
    return {
        "written": True, "readable": values == VALUES,
        "detail": f"{len(values)} of {len(VALUES)} values read by TensorBoard {version}",
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
