from __future__ import annotations

import numpy as np
import pytest

from shipworthy.models import digits


def test_split_holds_every_scan_once():
    data = digits.load()
    assert data.train_images.shape == (1437, 8, 8)
    assert data.test_images.shape == (360, 8, 8)
    assert len(data.train_labels) == 1437
    assert len(data.test_labels) == 360
    # The order differs, so compare the two parts' sums with scikit-learn's own totals.
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    ours = np.concatenate([data.train_images, data.test_images]).reshape(-1, 64) * 16
    both = np.column_stack([ours, np.concatenate([data.train_labels, data.test_labels])])
    theirs = np.column_stack([pixels, labels])
    assert np.array_equal(both[np.lexsort(both.T)], theirs[np.lexsort(theirs.T)])


def test_split_is_stratified():
    data = digits.load()
    in_test = np.bincount(data.test_labels, minlength=10)
    in_all = in_test + np.bincount(data.train_labels, minlength=10)
    assert np.abs(in_test - in_all * 360 / 1797).max() <= 1


def test_split_is_the_same_every_time():
    first = digits.load()
    again = digits.load.__wrapped__()
    assert again is not first
    for name, array in vars(first).items():
        assert np.array_equal(array, getattr(again, name)), name


def test_values_are_scaled_float32():
    data = digits.load()
    assert data.train_images.dtype == data.test_images.dtype == np.float32
    assert data.train_labels.dtype == data.test_labels.dtype == np.int64
    assert data.train_images.min() == 0
    assert data.train_images.max() == 1


def test_shared_arrays_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        digits.load().test_images[0] = 0


@pytest.mark.parametrize(
    ("layout", "shape"), [("nchw", (5, 1, 8, 8)), ("nhwc", (5, 8, 8, 1)), ("flat", (5, 64))]
)
def test_layouts(layout, shape):
    images = np.random.default_rng(0).random((5, 8, 8), dtype=np.float32)
    arranged = digits.arrange(images, layout)
    assert arranged.shape == shape
    assert np.array_equal(arranged.reshape(5, 8, 8), images)


def test_unknown_layout_names_the_known_ones():
    with pytest.raises(ValueError, match="unknown layout 'chw'; known: nchw, nhwc, flat"):
        digits.arrange(np.zeros((1, 8, 8)), "chw")


def test_shift_moves_each_image_whole():
    images = np.zeros((500, 8, 8), np.float32)
    images[:, 3, 4] = np.arange(1, 501)
    moved = digits.shift(images, 1, np.random.default_rng(0))
    assert moved.shape == images.shape
    assert moved.dtype == np.float32
    assert np.array_equal(moved.sum(axis=(1, 2)), np.arange(1, 501))
    _, rows, columns = np.nonzero(moved)
    offsets = set(zip((rows - 3).tolist(), (columns - 4).tolist(), strict=True))
    assert offsets == {(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)}


def test_shift_brings_in_background():
    moved = digits.shift(np.ones((200, 8, 8), np.float32), 2, np.random.default_rng(1))
    assert moved.min() == 0
    assert moved.sum(axis=(1, 2)).min() == 36
    assert np.array_equal(digits.shift(moved, 0, np.random.default_rng(2)), moved)
