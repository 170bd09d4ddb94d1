"""The handwritten digits that ship with scikit-learn: 1,797 real scans, no download.

Data: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998, doi:10.24432/C50P49; scikit-learn bundles its test part as `load_digits`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from shipworthy.models.spec import Array

CLASSES = 10
TRAIN_IMAGES, TEST_IMAGES = 1437, 360
SPLIT_SEED = 0

# Shape of one image, by layout.
LAYOUTS: dict[str, tuple[int, ...]] = {"nchw": (1, 8, 8), "nhwc": (8, 8, 1), "flat": (64,)}


@dataclass(frozen=True)
class Digits:
    """Train and test images with their labels.

    Parameters
    ----------
    train_images, test_images : float32 in [0, 1], shape (n, 8, 8): 1,437 and 360 images.
    train_labels, test_labels : int64 in 0..9, shape (n,).
    """

    train_images: Array
    train_labels: Array
    test_images: Array
    test_labels: Array


@cache
def load() -> Digits:
    """Return the digits, split into train and test once and for all.

    The split is stratified (every digit has the same share in both parts) and its seed is fixed:
    it belongs to the data, not to a training. The arrays are read-only, because they are shared.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=TEST_IMAGES, stratify=labels, random_state=SPLIT_SEED
    )
    # Pixels are 0..16: counts of ink in 4 x 4 blocks of the original bitmaps.
    images = (pixels / 16).astype(np.float32).reshape(-1, 8, 8)
    labels = labels.astype(np.int64)
    digits = Digits(images[train], labels[train], images[test], labels[test])
    for array in vars(digits).values():
        array.setflags(write=False)
    return digits


def arrange(images: Array, layout: str) -> Array:
    """Return images of shape (n, 8, 8) in one of `LAYOUTS`.

    With one channel the pixels lie in the same order in every layout, so this only reshapes.

    Raises
    ------
    ValueError : an unknown layout; the message lists the known ones.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}; known: {', '.join(LAYOUTS)}")
    return images.reshape(len(images), *LAYOUTS[layout])


def shift(images: Array, by: int, rng: np.random.Generator) -> Array:
    """Move every image by up to `by` pixels in each direction; what enters is background.

    Parameters
    ----------
    images : shape (n, 8, 8).
    by : each image draws both its offsets uniformly from -by..by.

    Returns
    -------
    Shape (n, 8, 8), same dtype.
    """
    count, height, width = images.shape
    padded = np.pad(images, ((0, 0), (by, by), (by, by)))
    down, right = rng.integers(0, 2 * by, size=(2, count, 1), endpoint=True)
    rows = down + np.arange(height)
    columns = right + np.arange(width)
    return np.asarray(
        padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    )
