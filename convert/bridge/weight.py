"""Parameters and buffers: one `tf.Variable` each, in the layout its kernel wants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.value import Order, Tensor, Value
from shipworthy.models.spec import Array

# A weight's own layout: the shape it is cut into, then the order of these axes.
Form = tuple[tuple[int, ...], Order]


class Weights:
    """Every variable of one model."""

    def __init__(self) -> None:
        self.variables: list[Any] = []
        self.derived: dict[tuple[Any, ...], Stored] = {}

    def variable(self, name: str, array: Array) -> Any:
        """Make a variable, outside of the graph that is being traced."""
        with tf.init_scope():
            variable = tf.Variable(np.ascontiguousarray(array), trainable=False, name=name)
        self.variables.append(variable)
        return variable


class Stored:
    """A weight's values, and its variable once somebody has read it.

    The first reader decides the layout, so that no transpose is left in the graph; a shared weight
    that is read in a second layout stays one variable and is transposed there.
    """

    def __init__(self, weights: Weights, name: str, array: Array) -> None:
        self.weights = weights
        self.name = name
        self.array = array
        self.variable: Any = None
        self.form: Form = (array.shape, tuple(range(array.ndim)))

    def read(self, shape: Sequence[int], order: Sequence[int]) -> Tensor:
        """Return the weight, reshaped and then transposed."""
        form = (tuple(shape), tuple(order))
        if self.variable is None:
            array = self.array.reshape(form[0]).transpose(form[1])
            self.variable = self.weights.variable(self.name, array)
            self.form = form
        tensor = tf.convert_to_tensor(self.variable)
        if form == self.form:
            return tensor
        plain = tf.transpose(tensor, np.argsort(self.form[1])) if self.form[1] else tensor
        return tf.transpose(tf.reshape(plain, shape), order)


class Weight(Value):
    """A parameter or buffer.

    Parameters
    ----------
    stored : its values.
    dims : ``dims[i]`` is the stored axis that is logical axis `i` here.
    """

    def __init__(self, stored: Stored, dims: Sequence[int] | None = None) -> None:
        # Value's own tensor is not made: the first reader decides how it lies.
        self.stored = stored
        self.of = tuple(range(stored.array.ndim) if dims is None else dims)
        self._order = tuple(range(len(self.of)))
        self._arranged = {}

    @property
    def tensor(self) -> Tensor:
        """The tensor in PyTorch's order."""
        return self.arranged(self._order)

    @property
    def dtype(self) -> Any:
        """The `tf.DType`."""
        return tf.as_dtype(self.stored.array.dtype)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The logical shape."""
        return tuple(self.stored.array.shape[dim] for dim in self.of)

    @property
    def array(self) -> Array:
        """The values, in logical order."""
        return self.stored.array.transpose(self.of)

    def arranged(self, order: Iterable[int]) -> Tensor:
        """Return the tensor with its logical axes in the order given."""
        return self.stored.read(self.stored.array.shape, [self.of[dim] for dim in order])

    def permuted(self, dims: Sequence[int]) -> Weight:
        """Return the weight with its logical axes renamed; no data moves."""
        return Weight(self.stored, [self.of[self.dim(dim)] for dim in dims])

    def formed(self, shape: Sequence[int], order: Sequence[int]) -> Tensor:
        """Return the weight, reshaped, then transposed, at no cost when the model runs."""
        if self.of != self._order:
            return super().formed(shape, order)
        return self.stored.read(shape, order)

    def lies_transposed(self) -> bool:
        """Tell whether the variable is already there with its last two axes swapped."""
        if self.stored.variable is None or self.stored.form[0] != self.stored.array.shape:
            return False
        *rest, row, column = self.of
        return self.stored.form[1] == (*rest, column, row)


def derived(name: str, function: Callable[..., Array], *weights: Weight) -> Value:
    """Return a weight computed once from others, while the model is translated.

    Parameters
    ----------
    function : takes and returns arrays in float64; the result is rounded to the first's dtype.
    """
    first = weights[0].stored
    key = (name, *((id(weight.stored), weight.of) for weight in weights))
    if key not in first.weights.derived:
        array = function(*(weight.array.astype(np.float64) for weight in weights))
        first.weights.derived[key] = Stored(first.weights, name, array.astype(first.array.dtype))
    return Weight(first.weights.derived[key])
