"""Reference data of Blue and Red from a store of activations."""

from mimicry.realign.build_blue import BlueOptions, build_blue
from mimicry.realign.build_red import RedOptions, build_red
from mimicry.realign.built import Built

__all__ = ["BlueOptions", "Built", "RedOptions", "build_blue", "build_red"]
