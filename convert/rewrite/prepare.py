"""Opens a SavedModel for a converter: its signature, in operators that the converter knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipworthy.convert.formats.saved_model import SIGNATURE, TAG
from shipworthy.convert.rewrite.replay import UNSTRUCTURED, replay
from shipworthy.convert.rewrite.table import rules
from shipworthy.convert.routes import UnsupportedModelError


@dataclass(frozen=True)
class Prepared:
    """A SavedModel's signature, ready for a converter.

    Parameters
    ----------
    function : `tf.function` with an input signature.
    loaded : the SavedModel, which owns the variables.
    replaced : the operators that were replaced, with the first place of each.
    narrowed : the names of those that computed in float64 and do so in float32 now.
    """

    function: Any
    loaded: Any
    replaced: dict[str, str]
    narrowed: tuple[str, ...]

    @property
    def concrete(self) -> Any:
        """The traced function."""
        return self.function.get_concrete_function()


def prepare(
    path: Path, format_: str, *, narrow: bool = False, plain_lists: bool = False
) -> Prepared:
    """Trace a SavedModel's signature anew with the rules for a format.

    Parameters
    ----------
    path : the SavedModel's folder.
    narrow : compute in float32 what the graph computes in float64.
    plain_lists : write lists of tensors as one tensor each, for a format whose rules do not.

    Raises
    ------
    UnsupportedModelError : the graph has TensorFlow 1's control flow, which is not followed.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path), tags=[TAG])
    function = loaded.signatures[SIGNATURE]
    if old := sorted(set(UNSTRUCTURED) & set(kinds(function.graph.as_graph_def()))):
        raise UnsupportedModelError(
            f"the graph has TensorFlow 1's control flow ({', '.join(old)}); save the model anew "
            "from TensorFlow 2, whose tf.while_loop and tf.cond are functions"
        )
    table = {**rules(format_), **(rules("lists") if plain_lists else {})}
    traced, told = replay(function, table, narrow=narrow)
    return Prepared(traced, loaded, dict(told.used), tuple(told.narrowed))


def kinds(graph: Any) -> Iterator[str]:
    """Yield the operators of a GraphDef and of its functions, each as often as it stands there."""
    for nodes in (graph.node, *(f.node_def for f in graph.library.function)):
        for node in nodes:
            yield node.op
