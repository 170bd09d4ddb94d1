"""The same layers with the same weights, as nn.Sequential and as a subclass.

Both factories build the layers in the same order from the same seed, so that the weights are equal
bit by bit.
"""


def _layers():
    import torch
    from torch import nn

    torch.manual_seed(0)
    return [
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    ]


def _example():
    import torch

    return torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def sequential():
    """Return the network as nn.Sequential, and an example."""
    from torch import nn

    return nn.Sequential(*_layers()), _example()


def subclass():
    """Return the network as a class of its own, and an example."""
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            layers = _layers()
            self.first, self.first_norm, _, self.second, self.second_norm = layers[:5]
            self.pool, self.flatten, self.hidden, _, self.head = layers[6:]

        def forward(self, image):
            x = torch.relu(self.first_norm(self.first(image)))
            x = self.pool(torch.relu(self.second_norm(self.second(x))))
            return self.head(torch.relu(self.hidden(self.flatten(x))))

    return Network(), _example()
