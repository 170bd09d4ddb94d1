"""Trains a perceptron on the digits with Keras: what a reader of its tutorial would write.

The only argument is the number of epochs; prints the accuracy on the test set as JSON. What is
counted is `train`; the data are the same as those of train_pytorch.py.
"""

import json
import sys


def train(images, labels, test_images, test_labels, epochs):
    """Return the accuracy on the test set."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            layers.Dense(128, activation="relu"),
            layers.Dense(10),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(3e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(images, labels, batch_size=64, epochs=epochs, verbose=0)
    return model.evaluate(test_images, test_labels, verbose=0, return_dict=True)["accuracy"]


if __name__ == "__main__":
    from shipworthy.models import digits

    data = digits.load()
    arrays = (
        data.train_images.reshape(-1, 64).copy(), data.train_labels.copy(),
        data.test_images.reshape(-1, 64).copy(), data.test_labels.copy(),
    )  # fmt: skip
    print(json.dumps({"accuracy": train(*arrays, epochs=int(sys.argv[1]))}))
