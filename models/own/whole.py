"""One model made of a user's model and what is declared around it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from shipworthy.models.own.call import (
    Call,
    arrange,
    as_tensors,
    is_array,
    parameters_of,
    read_example,
)

Function = Callable[..., Any]


def holds(framework: str, function: Function, call: Call) -> bool:
    """Tell whether a function is made of the framework's own operations.

    It is run on tensors without values, so that whatever leaves the framework (NumPy, PIL, Python
    numbers) shows.
    """
    if not all(map(is_array, leaves((call[0], call[1])))):
        return False
    try:
        args, kwargs = as_tensors(framework, *call)
        trial = _trial_torch if framework == "pytorch" or _under_torch() else _trial_tensorflow
        return all(map(_is_tensor, leaves(trial(function, args, kwargs)) or [None]))
    except Exception:
        return False


def _under_torch() -> bool:
    import keras

    return bool(keras.backend.backend() == "torch")


def _trial_torch(function: Function, args: Any, kwargs: Any) -> Any:
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils._pytree import tree_map

    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():

        def fake(value: Any) -> Any:
            return mode.from_tensor(value) if isinstance(value, torch.Tensor) else value

        return function(*tree_map(fake, args), **tree_map(fake, kwargs))


def _trial_tensorflow(function: Function, args: Any, kwargs: Any) -> Any:
    import tensorflow as tf

    function(*args, **kwargs)  # layers make their variables in their first call

    def call(given: Any) -> Any:
        return function(*given[0], **given[1])

    tf.function(call).get_concrete_function((args, kwargs))
    return function(*args, **kwargs)


def leaves(value: Any) -> list[Any]:
    """Return what lists, tuples and dicts hold, however deep."""
    if isinstance(value, Mapping):
        return [leaf for one in value.values() for leaf in leaves(one)]
    if isinstance(value, list | tuple):
        return [leaf for one in value for leaf in leaves(one)]
    return [value]


def _is_tensor(value: Any) -> bool:
    return is_array(value) and type(value).__module__.partition(".")[0] != "numpy"


def make_whole(framework: str, model: Any, pre: Function | None, post: Function | None) -> Any:
    """Return ``post(model(pre(inputs)))`` as a model of the framework."""
    return (_torch_whole if framework == "pytorch" else _keras_whole)(model, pre, post)


def _torch_whole(model: Any, pre: Function | None, post: Function | None) -> Any:
    import torch

    header = _header(pre or model.forward)

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        if pre is not None:
            args, kwargs = arrange(model.forward, pre(*args, **kwargs))
        return _finish(self.model(*args, **kwargs), post)

    forward.__signature__ = header  # type: ignore[attr-defined]
    whole = type("Whole", (torch.nn.Module,), {"forward": forward})()
    whole.model = model
    inner = set(model.modules())
    for name, function in (("pre", pre), ("post", post)):
        # Registered, so that its weights are the model's; not twice where they are already.
        if isinstance(function, torch.nn.Module) and function not in inner:
            setattr(whole, name, function)
    return whole.eval()


def _keras_whole(model: Any, pre: Function | None, post: Function | None) -> Any:
    import keras

    def call(self: Any, *args: Any, training: bool = False, **kwargs: Any) -> Any:
        if pre is not None:
            found = read_example(model, "tensorflow", pre(*args, **kwargs))
            args, kwargs = found[0] or (), found[1] or {}
        return _finish(self.model(*args, **kwargs, training=training), post)

    given = pre or (lambda inputs: inputs) if _takes_one(model) else pre or model.call
    call.__signature__ = _header(given, training=True)  # type: ignore[attr-defined]

    def __init__(self: Any) -> None:
        keras.Model.__init__(self, name=f"{model.name}_whole")
        self.model = model
        inner = set(map(id, model._flatten_layers()))
        for name, function in (("pre", pre), ("post", post)):
            if isinstance(function, keras.Layer) and id(function) not in inner:
                setattr(self, name, function)

    return type("Whole", (keras.Model,), {"__init__": __init__, "call": call})()


def _takes_one(model: Any) -> bool:
    """Tell whether a Keras model takes its inputs in one argument."""
    names = [name for name in inspect.signature(model.call).parameters if name != "training"]
    return len(names) == 1 or bool(getattr(model, "inputs", None))


def _header(function: Function, *, training: bool = False) -> inspect.Signature:
    """Return the signature of a method that takes what a function takes."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    found = [p.replace(annotation=p.empty) for p in parameters_of(function).values()]
    extra = [inspect.Parameter("training", inspect.Parameter.KEYWORD_ONLY, default=False)]
    found = [p.replace(kind=kind) if p.kind == p.POSITIONAL_ONLY else p for p in found]
    last = [p for p in found if p.kind == p.VAR_KEYWORD]
    rest = [p for p in found if p.kind != p.VAR_KEYWORD]
    return inspect.Signature(
        [inspect.Parameter("self", kind), *rest, *(extra if training else []), *last]
    )


def _finish(answer: Any, post: Function | None) -> Any:
    if post is None:
        return answer
    args, kwargs = arrange(post, answer)
    return post(*args, **kwargs)
