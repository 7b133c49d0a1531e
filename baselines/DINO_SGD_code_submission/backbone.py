"""The backbone: a vision transformer of timm, such as DINOv2.

A folder of weights holds what a repository of timm's on the Hugging Face hub holds, and
what `timm.models.save_for_hf` writes with `safe_serialization=True`: `config.json` and
`model.safetensors`.
"""

from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from timm.models.vision_transformer import checkpoint_filter_fn

CONFIG = "config.json"
WEIGHTS = "model.safetensors"


def tower(folder, size, weights=None):
    """Return the network of a folder, ready to compute features.

    Parameters
    ----------
    folder : str
        Holds CONFIG and WEIGHTS.
    size : int
        Side of the images in pixels; position embeddings are resampled to it.
    weights : str, optional
        Any word. Without it the network keeps the random weights that it was made with.

    Returns
    -------
    torch.nn.Module
        From float32 (images, 3, size, size) to float32 (images, features): the class token
        beside the mean of the patch tokens.
    """
    model = timm.create_model(f"local-dir:{folder}", num_classes=0, img_size=size)
    if weights is not None:
        load_weights(model, Path(folder) / WEIGHTS)
    return Features(model).eval().requires_grad_(False)


def load_weights(model, path):
    """Load a file of weights, and refuse one that leaves a part of the model random.

    timm itself allows parts to be missing where a classifier is left out, as it is here.
    A safetensors file is data and can run nothing.
    """
    # timm's own step from what is stored to what this model needs, whatever its image size.
    state = checkpoint_filter_fn(load_file(path), model)
    missing = model.load_state_dict(state, strict=False).missing_keys
    if missing:
        raise ValueError(f"{path.name} lacks {len(missing)} arrays, {missing[0]} among them")


class Features(torch.nn.Module):
    """The class token, and beside it the mean of the patch tokens."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        """Return the features of a batch."""
        tokens = self.model.forward_features(images)
        # Registers, where a model has them, lie between the class token and the patches.
        patches = tokens[:, self.model.num_prefix_tokens :]
        return torch.cat([tokens[:, 0], patches.mean(dim=1)], dim=1)
