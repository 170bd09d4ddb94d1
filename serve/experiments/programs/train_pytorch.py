"""Trains a perceptron on the digits with PyTorch: what a reader of its tutorial would write.

The only argument is the number of epochs; prints the accuracy on the test set as JSON. What is
counted is `train`; the data are the same as those of train_keras.py.
"""

import json
import sys


def train(images, labels, test_images, test_labels, epochs):
    """Return the accuracy on the test set."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(64, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )
    images, labels = torch.from_numpy(images), torch.from_numpy(labels)
    test_images, test_labels = torch.from_numpy(test_images), torch.from_numpy(test_labels)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    loss = nn.CrossEntropyLoss()
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(64):
            optimiser.zero_grad()
            loss(model(images[rows]), labels[rows]).backward()
            optimiser.step()
    model.eval()
    with torch.no_grad():
        right = model(test_images).argmax(dim=1) == test_labels
    return right.float().mean().item()


if __name__ == "__main__":
    from shipworthy.models import digits

    data = digits.load()
    arrays = (
        data.train_images.reshape(-1, 64).copy(), data.train_labels.copy(),
        data.test_images.reshape(-1, 64).copy(), data.test_labels.copy(),
    )  # fmt: skip
    print(json.dumps({"accuracy": train(*arrays, epochs=int(sys.argv[1]))}))
