"""The CIFAR-10 residual networks of He et al. (2015), as an entry point of a registry.

An example of an organiser's own model. Put this file beside the registry and name it there:

    {
      "model_name": "cifar-resnet20",
      "source": "custom",
      "entry_point": "cifar_resnet.py:cifar_resnet",
      "model_parameters": {"depth": 20},
      "weights": "file:resnet20.safetensors",
      "layer": "pool",
      "pooling": "flatten",
      "preprocess": {
        "resize": null,
        "crop": 32,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225]
      }
    }

Shortcuts across a change of shape take every second row and column and pad the channels
with zeros (section 4.2, option A), so that they have no weights.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """Two convolutions and a shortcut around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.padding = (outputs - inputs) // 2
        self.stride = stride

    def forward(self, images: Tensor) -> Tensor:
        """Return the maps after the block."""
        shortcut = images[:, :, :: self.stride, :: self.stride]
        shortcut = functional.pad(shortcut, (0, 0, 0, 0, self.padding, self.padding))
        maps = torch.relu(self.bn1(self.conv1(images)))
        return torch.relu(self.bn2(self.conv2(maps)) + shortcut)


class CifarResNet(nn.Module):
    """Three stages of 16, 32 and 64 channels."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._stage(16, 16, blocks, stride=1)
        self.layer2 = self._stage(16, 32, blocks, stride=2)
        self.layer3 = self._stage(32, 64, blocks, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of the ten classes."""
        maps = torch.relu(self.bn1(self.conv1(images)))
        maps = self.layer3(self.layer2(self.layer1(maps)))
        return self.linear(self.pool(maps).flatten(1))

    @staticmethod
    def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
        first = Block(inputs, outputs, stride)
        return nn.Sequential(first, *(Block(outputs, outputs, 1) for _ in range(blocks - 1)))


def cifar_resnet(depth: int) -> nn.Module:
    """Return the network of `depth` layers: 20, 32, 44, 56 or 110."""
    blocks, rest = divmod(depth - 2, 6)
    if rest or blocks < 1:
        raise ValueError(f"there is no network of this kind with {depth} layers")
    return CifarResNet(blocks)
