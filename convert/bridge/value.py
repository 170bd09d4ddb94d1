"""A tensor and the order in which its axes lie.

PyTorch puts channels first, TensorFlow's CPU kernels want them last. A `Value` keeps PyTorch's
axes (*logical*) and remembers at which place of the TensorFlow tensor (*physical*) each lies, so
that a transpose is written only where some op needs another order than the one at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from shipworthy.convert.bridge.lazy import tf

Tensor = Any  # tf.Tensor
Size = Any  # an int, or a scalar int32 tf.Tensor
Order = tuple[int, ...]


class Value:
    """A PyTorch tensor inside a TensorFlow graph.

    Parameters
    ----------
    tensor : the TensorFlow tensor.
    order : ``order[i]`` is the logical axis that lies at physical axis `i`; None is as in PyTorch.
    """

    def __init__(self, tensor: Tensor, order: Iterable[int] | None = None) -> None:
        self._tensor = tensor
        self._order = tuple(range(len(tensor.shape)) if order is None else order)
        self._arranged: dict[Order, Tensor] = {}

    @property
    def tensor(self) -> Tensor:
        """The tensor as it lies."""
        return self._tensor

    @property
    def order(self) -> Order:
        """The logical axis at every physical axis."""
        return self._order

    @property
    def dtype(self) -> Any:
        """The `tf.DType`."""
        return self._tensor.dtype

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The logical shape; None is a size only known when the model runs."""
        sizes = dict(zip(self.order, self._tensor.shape.as_list(), strict=True))
        return tuple(sizes[dim] for dim in range(self.rank))

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self._order)

    @property
    def plain(self) -> Tensor:
        """The tensor in PyTorch's order."""
        return self.arranged(range(self.rank))

    def dim(self, dim: int) -> int:
        """Return a logical axis counted from the front."""
        return dim + max(self.rank, 1) if dim < 0 else dim

    def dims(self, dims: int | Sequence[int] | None) -> list[int]:
        """Return logical axes counted from the front; None and () are all of them."""
        if dims is None or dims == [] or dims == ():
            return list(range(self.rank))
        return [self.dim(dim) for dim in ([dims] if isinstance(dims, int) else dims)]

    def axis(self, dim: int) -> int:
        """Return the physical axis of a logical one."""
        return self.order.index(self.dim(dim))

    def axes(self, dims: int | Sequence[int] | None) -> list[int]:
        """Return the physical axes of logical ones; None and () are all of them."""
        return [self.axis(dim) for dim in self.dims(dims)]

    def size(self, dim: int) -> Size:
        """Return a logical axis's size: an int if known, else a scalar tensor."""
        size = self.shape[self.dim(dim)]
        return tf.shape(self.tensor)[self.axis(dim)] if size is None else size

    def sizes(self, dims: Iterable[int] | None = None) -> list[Size]:
        """Return the sizes of logical axes, for `reshape`: -1 is the only one not known."""
        wanted = list(range(self.rank) if dims is None else dims)
        if [self.shape[dim] for dim in wanted].count(None) > 1:
            return [self.size(dim) for dim in wanted]
        return [-1 if (size := self.shape[dim]) is None else size for dim in wanted]

    def like(self, tensor: Tensor) -> Value:
        """Return another tensor that lies as this one does."""
        return Value(tensor, self.order)

    def cast(self, dtype: Any) -> Value:
        """Return the value in another dtype."""
        return self if dtype == self.dtype else self.like(tf.cast(self.tensor, dtype))

    def arranged(self, order: Iterable[int]) -> Tensor:
        """Return the tensor with its logical axes in the order given."""
        wanted = tuple(order)
        if wanted == self.order:
            return self.tensor
        if wanted not in self._arranged:
            self._arranged[wanted] = self._rearrange(wanted)
        return self._arranged[wanted]

    def _rearrange(self, wanted: Order) -> Tensor:
        shape = self.shape
        moved = [dim for dim in wanted if shape[dim] != 1]
        if moved == [dim for dim in self.order if shape[dim] != 1]:
            # Only axes of size 1 move: the same bytes under another shape.
            return reshape(self.tensor, self.sizes(wanted))
        return tf.transpose(self.tensor, [self.order.index(dim) for dim in wanted])

    def permuted(self, dims: Sequence[int]) -> Value:
        """Return the value with its logical axes renamed; no data moves."""
        places = {self.dim(dim): place for place, dim in enumerate(dims)}
        return Value(self.tensor, [places[dim] for dim in self.order])

    def formed(self, shape: Sequence[int], order: Sequence[int]) -> Tensor:
        """Return the plain tensor, reshaped, then transposed: a layout that a kernel wants."""
        tensor = self.plain if tuple(shape) == self.shape else reshape(self.plain, shape)
        return tensor if list(order) == sorted(order) else tf.transpose(tensor, order)


def reshape(tensor: Tensor, sizes: Sequence[Size]) -> Tensor:
    """Reshape to sizes of which some may be scalar tensors, with as few extra ops as possible."""
    unknown = [i for i, size in enumerate(sizes) if not isinstance(size, int)]
    if len(unknown) == 1 and not any(isinstance(size, int) and size == -1 for size in sizes):
        sizes = [-1 if i in unknown else size for i, size in enumerate(sizes)]
        unknown = []
    result = tf.reshape(tensor, tf.stack(sizes) if unknown else list(sizes))
    return fixed(result, sizes)


def fixed(tensor: Tensor, sizes: Sequence[Size]) -> Tensor:
    """Tell TensorFlow the sizes that are known, which it does not always find by itself."""
    tensor.set_shape([s if isinstance(s, int) and s >= 0 else None for s in sizes])
    return tensor


def without(order: Order, dims: Sequence[int]) -> Order:
    """Return the order that is left when logical axes are dropped."""
    kept = [dim for dim in order if dim not in dims]
    return tuple(dim - sum(dropped < dim for dropped in dims) for dim in kept)


def lead(values: Sequence[Value]) -> Value:
    """Return the value whose order the others should take: the largest, else channels-last."""

    def weight(value: Value) -> tuple[int, int, bool]:
        large = sum(size != 1 for size in value.shape)
        return value.rank, large, value.order != tuple(range(value.rank))

    return max(values, key=weight)


def aligned(values: Sequence[Value]) -> tuple[list[Tensor], Order]:
    """Bring values into one order, ready for TensorFlow's broadcasting.

    Returns
    -------
    the tensors, and the order that the result has.
    """
    order = lead(values).order
    if order == tuple(range(len(order))):
        return [value.plain for value in values], order
    return [_raised(value, order) for value in values], order


def _raised(value: Value, order: Order) -> Tensor:
    missing = len(order) - value.rank
    if value.rank == 0 or not missing:
        return value.tensor if value.rank == 0 else value.arranged(order)
    return Value(reshape(value.plain, [1] * missing + value.sizes())).arranged(order)


def along(x: Value, vector: Value, dims: Sequence[int]) -> Tensor:
    """Return a value whose axes are some of x's, ready to broadcast against x as it lies.

    Parameters
    ----------
    vector : its logical axis i runs along x's logical axis ``dims[i]``.
    """
    wanted = [list(dims).index(dim) for dim in x.order if dim in dims]
    tensor = vector.arranged(wanted)
    trailing = x.order[min(x.axis(dim) for dim in dims) :]
    if len(trailing) == len(dims):
        return tensor
    return reshape(tensor, [vector.size(list(dims).index(d)) if d in dims else 1 for d in trailing])
