"""The backbone: the image tower of an OpenCLIP model, such as BioCLIP.

A folder of weights holds what an OpenCLIP repository on the Hugging Face hub holds, and
what OpenCLIP's own `save_for_hf` writes: `open_clip_config.json` and
`open_clip_model.safetensors`, or the older `open_clip_pytorch_model.bin`.
"""

from pathlib import Path

import open_clip
import torch

CONFIG = "open_clip_config.json"
# OpenCLIP takes the first that is in a folder.
WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)


def tower(folder, size, weights=None):
    """Return the image tower of a folder, ready to compute features.

    Parameters
    ----------
    folder : str
        Holds CONFIG and the weights.
    size : int
        Side of the images in pixels; position embeddings are resampled to it.
    weights : str, optional
        Name of the weights file. Without it the tower keeps the random weights that it was
        made with.

    Returns
    -------
    torch.nn.Module
        From float32 (images, 3, size, size) to float32 (images, features): embeddings of
        length 1.
    """
    taken = next((name for name in WEIGHTS if (Path(folder) / name).is_file()), weights)
    if weights in WEIGHTS and taken != weights:
        raise ValueError(f"OpenCLIP would take {taken} in place of {weights}: remove one of them")
    model = open_clip.create_model(
        f"local-dir:{folder}",
        force_image_size=size,
        load_weights=weights is not None,
        # Without weights OpenCLIP would go on with random ones, and say so in a log.
        require_pretrained=weights is not None,
        # A .bin file is a pickle; this way it may hold arrays and can run nothing.
        weights_only=True,
        device=torch.get_default_device(),
    )
    # The text tower would only take memory.
    return Features(model.visual).eval().requires_grad_(False)


class Features(torch.nn.Module):
    """The image embedding, scaled to length 1."""

    def __init__(self, visual):
        super().__init__()
        self.visual = visual

    def forward(self, images):
        """Return the features of a batch."""
        return torch.nn.functional.normalize(self.visual(images), dim=-1)
