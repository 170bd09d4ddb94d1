"""A small made-up language whose meaning depends on the order of its words, and its classifiers.

A sentence is a row of words, and what it means is its last colour. Which words occur says little:
where they stand does. Sentences have different lengths; shorter ones are filled up with padding
behind.

    red  tree  blue  lake  green  lake  .  .  .        means: green

Everything is generated from a seed: there is nothing to download, and there is no end of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from shipworthy.models.spec import (
    Arrays,
    Case,
    Model,
    Signature,
    Source,
    Task,
    TensorSpec,
)
from shipworthy.models.training import Lesson, Recipe, Training, accuracy

if TYPE_CHECKING:
    from shipworthy.models.spec import Array

PADDING = 0
COLOURS = 4  # words 1..4
WORDS = 16  # all the words there are, with padding
SHORTEST, LONGEST = 4, 24  # of the sentences that are learnt

_TEST_SEED = 1_000_000  # far from the seeds of any training
_TEST_SENTENCES = 512
_SENTENCES_AN_EPOCH = 2048
# Batches are as long as their longest sentence, as a loader would make them.
_BATCH_LENGTHS = (8, 16, LONGEST)

# What a framework's embedding takes by default.
_DTYPES = {"pytorch": "int64", "tensorflow": "int32"}


def sentences(rng: np.random.Generator, count: int, longest: int) -> tuple[Array, Array]:
    """Generate sentences.

    Parameters
    ----------
    longest : the first sentence has this length, the others any from `SHORTEST`.

    Returns
    -------
    words, meanings : int64 of shapes (count, longest) and (count,); meanings are 0..3.
    """
    lengths = rng.integers(SHORTEST, longest, size=count, endpoint=True)
    lengths[0] = longest
    places = np.arange(longest)
    words = rng.integers(PADDING + 1, WORDS, size=(count, longest))
    rows = np.arange(count)
    words[rows, rng.integers(0, lengths)] = rng.integers(1, COLOURS, size=count, endpoint=True)
    words[places >= lengths[:, None]] = PADDING
    colours = (words >= 1) & (words <= COLOURS)
    last = longest - 1 - np.argmax(colours[:, ::-1], axis=1)
    return words, words[rows, last] - 1


def sentence_classifier(
    name: str, about: str, *, builds: Mapping[str, Callable[[], Any]], recipe: Recipe
) -> Model:
    """Return a model that maps sentences, int of shape (batch, seq), to four logits.

    Parameters
    ----------
    name, about : the model's name and one line about it.
    builds : framework -> returns the untrained model.
    recipe : how it is trained, in every framework.
    """
    return Model(
        name, about, {key: _source(name, key, build, recipe) for key, build in builds.items()}
    )


def _source(name: str, framework: str, build: Callable[[], Any], recipe: Recipe) -> Source:
    dtype = _DTYPES[framework]

    def test(count: int = _TEST_SENTENCES, longest: int = LONGEST) -> tuple[Array, Array]:
        words, meanings = sentences(np.random.default_rng(_TEST_SEED), count, longest)
        return words.astype(dtype), meanings

    def batches(rng: np.random.Generator, size: int) -> Iterator[tuple[Array, ...]]:
        for _ in range(_SENTENCES_AN_EPOCH // size):
            words, meanings = sentences(rng, size, int(rng.choice(_BATCH_LENGTHS)))
            yield words.astype(dtype), meanings

    def cases() -> list[Case]:
        return [
            Case(f"real_{count}_long_{longest}", {"tokens": test(count, longest)[0]})
            for count, longest in ((64, 12), (3, LONGEST))
        ]

    def inputs() -> Arrays:
        return {"tokens": test()[0]}

    def score(outputs: Arrays) -> float:
        return accuracy(outputs["logits"], test()[1])

    tokens = TensorSpec("tokens", dtype, ("batch", "seq"), low=PADDING, high=WORDS - 1)
    return Source(
        name=name,
        framework=framework,
        signature=Signature((tokens,), (TensorSpec("logits", "float32", ("batch", COLOURS)),)),
        build=build,
        cases=cases,
        task=Task("accuracy", inputs, score),
        train=Training(
            name,
            framework,
            build,
            recipe,
            Lesson("classes", _SENTENCES_AN_EPOCH, batches, test, accuracy),
        ),
    )
