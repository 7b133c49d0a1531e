"""Colour pattern baseline: a butterfly unlike every known subspecies may be a hybrid.

A hybrid mixes the patterns of two subspecies, so it looks like neither. The model
(1) finds the wings, (2) turns them into a small map of pigments, and (3) measures the
distance to the nearest subspecies that it was trained on. Hybrids of parents that it
never saw are unlike all of them, too.

It needs NumPy and Pillow only. `make baseline` in the repository fits the weights.
"""

from pathlib import Path

import numpy as np
from PIL import Image

# Patterns are coarse: more pixels cost time and add noise.
WORKING_WIDTH = 320
ROWS, COLUMNS = 10, 14


class Model:
    """What the platform calls: `load` once, then `predict` or `predict_batch`."""

    def load(self):
        """Read the weights that lie beside this file."""
        # Not the working directory: that is the platform's choice.
        path = Path(__file__).resolve().parent / "weights.npz"
        # Without pickle a weights file is data and can run nothing.
        with np.load(path, allow_pickle=False) as file:
            self.weights = {name: file[name] for name in file.files}

    def predict(self, image):
        """Return a score for one PIL image; higher means more likely a hybrid."""
        return float(score(features(image), self.weights))

    def predict_batch(self, images):
        """Return one score per image. A neural network would gain by one call for all."""
        return [self.predict(image) for image in images]


def features(image):
    """Return the pigment map of a butterfly as a vector of float64, whatever the image."""
    pixels = _working_copy(image)
    background = _background(pixels)
    # Relative to the tray behind it, a wing looks the same in every light.
    pixels = np.clip(pixels / np.maximum(background, 0.05), 0.0, 1.3)
    pigments = _pigments(*_upright_crop(pixels, _specimen(pixels)))
    # Both sides carry the same pattern; their mean halves the noise of damaged wings.
    pigments = (pigments + pigments[:, ::-1]) / 2
    return pigments[:, : pigments.shape[1] // 2].reshape(-1)


def score(vector, weights):
    """Return the distance to the nearest subspecies, along the axes that tell them apart.

    Along those axes the animals of one subspecies scatter little and equally, so one
    plain distance is fair to all of them; dirt, damage and pose lie mostly elsewhere.
    """
    centred = (vector - weights["mean"]) / weights["scale"]
    # A sum instead of a matrix product: the same bits for any number of threads.
    position = (centred[None, :] * weights["axes"]).sum(axis=1)
    distances = np.sqrt(((position[None, :] - weights["centres"]) ** 2).sum(axis=1))
    return distances.min()


def _working_copy(image):
    """Return RGB values in [0, 1] at a small size, shape (rows, columns, 3)."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        # Transparent pixels hide any colour: show them on white.
        clear = image.convert("RGBA")
        image = Image.new("RGBA", clear.size, "white")
        image.alpha_composite(clear)
    image = image.convert("RGB")
    # Whole-number shrinking first is several times faster on a photograph of 5,000 pixels.
    factor = image.width // (2 * WORKING_WIDTH)
    if factor > 1:
        image = image.reduce(factor)
    height = min(4 * WORKING_WIDTH, max(1, round(image.height * WORKING_WIDTH / image.width)))
    image = image.resize((WORKING_WIDTH, height), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.float64) / 255.0


def _background(pixels):
    """Return the tray's colour: the median along the picture's edge, where no wing lies."""
    edge = max(1, len(pixels) // 20)
    frame = [pixels[:edge], pixels[-edge:], pixels[:, :edge], pixels[:, -edge:]]
    return np.median(np.concatenate([part.reshape(-1, 3) for part in frame]), axis=0)


def _specimen(pixels):
    """Return a mask of the butterfly: what differs from the tray around the centre."""
    far = np.abs(pixels - 1.0).max(axis=2) > 0.32
    rows, columns = (side - side % 4 for side in far.shape)
    if rows == 0:
        return np.ones(far.shape, dtype=bool)
    # Cells of 4 x 4 pixels drop specks and thin antennae, and make growing cheap.
    cells = far[:rows, :columns].reshape(rows // 4, 4, columns // 4, 4).mean(axis=(1, 3)) > 0.6
    # Grow from solid parts in the middle: a label at the side or a speck has none there.
    seed = np.zeros_like(cells)
    middle = _middle(cells.shape[0]), _middle(cells.shape[1])
    seed[middle] = ~_wider(~cells)[middle]
    wings = _grow(seed, cells)
    # White spots look like a white tray: whatever the wings enclose belongs to them.
    seed = np.ones_like(cells)
    seed[1:-1, 1:-1] = False
    wings = ~_grow(seed, ~wings)
    inner = ~_wider(~wings)
    mask = np.zeros(far.shape, dtype=bool)
    # At the margin every pixel counts for itself; whole cells would be too coarse there.
    mask[:rows, :columns] = _enlarged(_wider(wings)) & far[:rows, :columns] | _enlarged(inner)
    # No butterfly found: the whole picture is the best guess left.
    return mask if mask.sum() > 64 else np.ones(far.shape, dtype=bool)


def _grow(seed, allowed):
    """Return all of `allowed` that is connected to `seed`."""
    grown = seed & allowed
    while True:
        wider = _wider(grown) & allowed
        if (wider == grown).all():
            return grown
        grown = wider


def _wider(mask):
    """Return a mask with one cell more on every side."""
    wide = np.pad(mask, 1)
    wide = wide[1:-1] | wide[:-2] | wide[2:]
    return wide[:, 1:-1] | wide[:, :-2] | wide[:, 2:]


def _enlarged(cells):
    return np.repeat(np.repeat(cells, 4, axis=0), 4, axis=1)


def _middle(length):
    return slice(length // 3, max(length // 3 + 1, length - length // 3))


def _upright_crop(pixels, mask):
    """Turn the butterfly level and cut it out; returns pixels and mask of the cut."""
    y, x = np.nonzero(mask)
    dy, dx = y - y.mean(), x - x.mean()
    # The long axis of a spread specimen runs from wing tip to wing tip.
    angle = 0.5 * np.arctan2(2 * (dx * dy).sum(), (dx * dx).sum() - (dy * dy).sum())
    angle = float(np.clip(angle, -0.4, 0.4))
    along = dx * np.cos(angle) + dy * np.sin(angle)
    up = dy * np.cos(angle) - dx * np.sin(angle)
    # Quantiles, since a torn tip or a bit of label would move the outermost pixel.
    left, right = np.quantile(along, [0.005, 0.995])
    top, bottom = np.quantile(up, [0.005, 0.995])
    high, wide = 6 * ROWS, 6 * COLUMNS
    across = np.linspace(left, right, wide)[None, :]
    down = np.linspace(top, bottom, high)[:, None]
    column = across * np.cos(angle) - down * np.sin(angle) + x.mean()
    row = across * np.sin(angle) + down * np.cos(angle) + y.mean()
    row = np.clip(np.round(row), 0, mask.shape[0] - 1).astype(int)
    column = np.clip(np.round(column), 0, mask.shape[1] - 1).astype(int)
    return pixels[row, column], mask[row, column]


def _pigments(pixels, mask):
    """Return the mean of five pigments per cell, shape (ROWS, COLUMNS, 5)."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    maps = np.stack(
        [
            np.clip(red - green, 0.0, None),  # red and orange
            np.clip(np.minimum(red, green) - blue, 0.0, None),  # yellow
            np.minimum(np.minimum(red, green), blue),  # white
            np.clip(blue - red, 0.0, None),  # iridescent blue
            np.full(mask.shape, 0.3),  # where there is wing at all
        ],
        axis=-1,
    )
    maps = maps * mask[..., None]
    cells = maps.reshape(ROWS, 6, COLUMNS, 6, 5).mean(axis=(1, 3))
    # The root brings faint pigments, which tell hybrids, nearer to strong ones.
    return np.sqrt(cells)
