"""A backbone baseline: the features of a pretrained network, scored by a small head.

`backbone.py` loads the network, `find_weights.py` finds its weights, `head.py` turns its
features into one score, `settings.json` says how images are prepared. This file is the
same in all three baselines: to try another network or another head, change its own file.

`python examples/training/train.py --help` in the repository tells how to train one.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from backbone import CONFIG, tower
from find_weights import find_weights
from head import score
from PIL import Image

HERE = Path(__file__).resolve().parent


class Model:
    """What the platform calls: `load` once, then `predict` or `predict_batch`."""

    # How many images a call of predict_batch gets; settings.json may say another number.
    batch_size = 16

    def load(self):
        """Read the settings, the network and the head, and try them together."""
        with explained("settings.json: unpack the submission anew, or mend the file"):
            settings = json.loads((HERE / "settings.json").read_text(encoding="utf-8"))
            self.preprocess = settings["preprocess"]
            self.batch_size = settings["batch_size"]
        # Convolutions would round to TF32 on a GPU, and score otherwise than on a CPU.
        torch.backends.cudnn.allow_tf32 = False
        torch.set_float32_matmul_precision("highest")
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        folder = find_weights(HERE, settings, CONFIG)
        with explained(
            "the backbone cannot be loaded: put the folder backbone/ there again, whole, with "
            "which the head was trained, or train anew with examples/training/train.py"
        ):
            network = tower(str(folder), self.preprocess["size"], settings["weights_file"])
            self.network = network.to(self.device)
        with (
            explained("classifier.npz cannot be read: train anew with examples/training/train.py"),
            # Without pickle a weights file is data and can run nothing.
            np.load(HERE / "classifier.npz", allow_pickle=False) as file,
        ):
            self.head = {name: file[name] for name in file.files}
        # As many as torch uses, which is what this process may use.
        self.threads = ThreadPoolExecutor(torch.get_num_threads())
        self.rows = 1
        with explained(
            "backbone, head.py and classifier.npz do not belong together: take all three from "
            "one training with examples/training/train.py"
        ):
            trial = self.predict(Image.new("RGB", (32, 32)))
            if not np.isfinite(trial):
                raise ValueError(f"the score of a black image is {trial}")

    def predict(self, image):
        """Return a score for one PIL image; higher means more likely a hybrid."""
        return float(self._scores([image], rows=1)[0])

    def predict_batch(self, images):
        """Return one score per image, from one pass of the network."""
        # Its kernels are chosen by the number of images, which moves the last bits of every
        # score. Empty rows fill the last batch up, so that chance does not say who gets which.
        self.rows = max(self.rows, len(images))
        return self._scores(images, self.rows)

    def _scores(self, images, rows):
        side = self.preprocess["size"]
        batch = np.zeros((rows, 3, side, side), dtype=np.float32)

        def fill(row):
            batch[row] = prepare(images[row], self.preprocess)

        # Pillow lets other threads run while it resizes, most of the work on a large image.
        list(self.threads.map(fill, range(len(images))))
        with torch.inference_mode():
            features = self.network(torch.from_numpy(batch).to(self.device))
        return score(features[: len(images)].cpu().numpy(), self.head)


def prepare(image, preprocess):
    """Return an image as the network's input: float32 (3, size, size).

    The whole image is squashed to a square, since a crop from the centre would lose the
    wing tips. Transparency is dropped, grey becomes three equal channels.
    """
    if image.mode != "RGB":
        image = image.convert("RGB")
    side = preprocess["size"]
    small = image.resize((side, side), Image.Resampling[preprocess["interpolation"].upper()])
    pixels = np.asarray(small, dtype=np.float32) / np.float32(255)
    mean, std = (np.asarray(preprocess[key], dtype=np.float32) for key in ("mean", "std"))
    return ((pixels - mean) / std).transpose(2, 0, 1)


@contextmanager
def explained(sentence):
    """Put what to do before whatever goes wrong inside, in one line."""
    try:
        yield
    except (MemoryError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise RuntimeError(f"{sentence} ({reason[:120]})") from error
