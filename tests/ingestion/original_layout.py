"""Submissions as the challenge of 2024 took them, in several hands, and a hub to load from.

Every submission is a folder with ``model.py``, ``clf.pkl`` and often more, written the way
its participants wrote: nothing of it knows this package. The hub is a Hugging Face cache in
its real layout, with small random models of the real architectures.
"""

import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np

BIOCLIP_WIDTH = 24
DINO_WIDTH = 32

# Everything in the constructor, a default argument, transforms on the PIL image.
BIOCLIP_CONSTRUCTOR = """
import os
import pickle

import open_clip
import torch
from torchvision import transforms


class Model:
    def __init__(self, device="cpu"):
        self.device = device
        self.backbone = open_clip.create_model("hf-hub:imageomics/bioclip", require_pretrained=True)
        self.backbone.to(device).eval()
        here = os.path.dirname(__file__)
        with open(os.path.join(here, "clf.pkl"), "rb") as handle:
            self.clf = pickle.load(handle)
        self.transform = transforms.Compose([
            transforms.ToTensor(),
            transforms.Resize((224, 224), interpolation=transforms.InterpolationMode.BICUBIC),
        ])

    def load(self):
        pass

    def predict(self, datapoint):
        with torch.no_grad():
            pixels = self.transform(datapoint).unsqueeze(0).to(self.device)
            embedding = self.backbone.encode_image(pixels).cpu().numpy()
        return self.clf.predict_proba(embedding)[:, 1][0]
"""

# The library's own preparation, mixed precision, a dictionary out of the model.
BIOCLIP_TRANSFORMS = """
import os
import pickle

import torch
from open_clip import create_model_and_transforms


class Model:
    def __init__(self):
        self.clf = None

    def load(self):
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        name = "hf-hub:imageomics/bioclip"
        found = create_model_and_transforms(name, precision="amp", output_dict=True)
        self.net, self.prepare = found[0].to(self.device), found[2]
        self.net.eval()
        self.clf = pickle.load(open(os.path.join(os.path.dirname(__file__), "clf.pkl"), "rb"))

    @torch.no_grad()
    def predict(self, datapoint):
        out = self.net(self.prepare(datapoint)[None].to(self.device))
        return self.clf.predict_proba(out["image_features"].cpu().numpy())[0, 1]
"""

# No no_grad: gradients are recorded for every image, as in the original baseline.
DINO = """
import os
import pickle

import PIL
import numpy as np
import torch
from sklearn.linear_model import SGDClassifier
from torchvision import transforms
from transformers import AutoModel


class Model:
    def __init__(self):
        self.name = "facebook/dinov2-base"
        self.to_tensor = transforms.Compose([
            transforms.Resize((224, 224)),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ])
        self.device = "cuda" if torch.cuda.is_available() else "cpu"

    def load(self):
        self.backbone = AutoModel.from_pretrained(self.name).to(self.device)
        self.backbone.eval()
        with open(os.path.join(os.path.dirname(__file__), "clf.pkl"), "rb") as f:
            self.clf: SGDClassifier = pickle.load(f)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        feats = self.backbone(x)[0]
        return torch.cat([feats[:, 0], feats[:, 1:].mean(dim=1)], dim=1)

    def predict(self, x: PIL.Image) -> float:
        feats = self.features(self.to_tensor(x).to(self.device).unsqueeze(0))
        return self.clf.predict_proba(feats.detach().cpu().numpy())[0, 1]
"""

# The hub's image processor, the named output, joblib, the distance to the boundary.
DINO_PROCESSOR = """
from pathlib import Path

import joblib
import torch
from transformers import AutoImageProcessor, AutoModel

HERE = Path(__file__).parent


class Model:
    def load(self):
        self.processor = AutoImageProcessor.from_pretrained("facebook/dinov2-base")
        self.backbone = AutoModel.from_pretrained("facebook/dinov2-base")
        self.clf = joblib.load(HERE / "clf.pkl")

    def predict(self, image):
        inputs = self.processor(images=image.convert("RGB"), return_tensors="pt")
        with torch.inference_mode():
            hidden = self.backbone(**inputs).last_hidden_state
        features = torch.cat((hidden[:, 0], hidden[:, 1:].mean(1)), 1)
        return float(self.clf.decision_function(features.numpy())[0])
"""

# Prints for every image, gives up near its own limit, catches everything.
TALKING = """
import logging
import os
import pickle
import sys
import timeit
import warnings

import numpy as np
from PIL import Image
from tqdm import tqdm

logging.basicConfig(level=logging.DEBUG)
print("model imported")


class Model:
    def __init__(self):
        self.dir = os.path.dirname(os.path.realpath(__file__))
        self.counter = 0
        self.start = timeit.default_timer()

    def load(self):
        for _ in tqdm(range(3)):
            warnings.warn("an old argument")
        self.clf = pickle.load(open(os.path.join(self.dir, "clf.pkl"), "rb"))

    def predict(self, datapoint):
        self.counter += 1
        print(f"Image {self.counter}: {datapoint.size} \\u2713", "x" * 5000)
        print("...", end="", file=sys.stderr)
        try:
            small = np.array(datapoint.resize((4, 4), Image.LANCZOS)) / 255
            result = self.clf.predict_proba(small[:, :, :3].reshape(1, -1))[0][1]
        except Exception as e:
            print(f"Error: {e}")
            return 0.5
        logging.info("score %s", result)
        return result
"""

# One image or a list of them, weights by a path relative to the working directory, code in
# modules and a package beside model.py, a class of model.py in the pickle.
LIST_OR_IMAGE = """
import json
import os
import pickle
import sys

import torch

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import utils
from network.layers import Head
from network import WIDTH


class Scaler:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, values):
        return values * self.factor


class Model:
    def __init__(self, device=None, batch=16, tta=False):
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.tta = tta

    def load(self):
        self.head = Head(WIDTH)
        self.head.load_state_dict(torch.load("weights.pth", map_location=self.device))
        self.head.eval()
        with open("config/settings.json") as handle:
            self.size = json.load(handle)["size"]
        self.scaler = pickle.load(open("scaler.pkl", "rb"))

    def predict(self, x):
        images = x if isinstance(x, list) else [x]
        with torch.no_grad():
            logits = self.head(torch.stack([utils.tensor_of(i, self.size) for i in images]))
            top = torch.softmax(logits, dim=1).sort(dim=1, descending=True).values
        scores = [self.scaler(1 - t[0] if t[0] > 0.75 else t[0] + t[1]) for t in top]
        return scores if isinstance(x, list) else scores[0]


if __name__ == "__main__":
    from PIL import Image
    m = Model()
    m.load()
    print(m.predict(Image.open(sys.argv[1])))
"""
UTILS = """
import numpy as np
import torch


def tensor_of(image, size):
    pixels = np.array(image.convert("RGB").crop((5, 5, 200, 170)).resize((size, size)))
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
"""
# With the packages that participants asked for in mid-competition.
UTILS_OPENCV = """
import cv2
import numpy as np
import albumentations as A
from albumentations.pytorch import ToTensorV2


def tensor_of(image, size):
    pixels = cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2HSV)
    steps = A.Compose([A.Resize(size, size), A.Normalize(), ToTensorV2()])
    return steps(image=pixels)["image"].float()
"""
LAYERS = """
import torch.nn as nn
from . import WIDTH


class Head(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, width, 5, 3), nn.GELU(), nn.AdaptiveAvgPool2d(1),
                                 nn.Flatten(), nn.Linear(width, 14))

    def forward(self, x):
        return self.net(x)
"""

# Requirements as they stand in submissions of that year: exact versions of another machine,
# no line's end at the end, one package twice. Names in the list's own capitals.
OLD_PINS = """\
torch==2.7.1
torchvision==0.18.0
open-clip-torch==2.24.0
scikit-learn==1.4.2
transformers==4.40.0
transformers==4.40.0
numpy==1.26.4
pandas==2.2.2
tqdm==4.66.5
Pillow==10.4.0
opencv-python-headless==4.10.0.84
albumentations==1.4.24"""
NAMES = "torch\ntorchvision\nPillow\nscikit-learn\nnumpy\ntransformers\n"

METADATA = {
    "none": {},
    "empty": {"metadata": ""},
    "description": {"metadata": "description: DINOv2 with a classifier\n"},
    "command": {"metadata": "command: python3 $program/model.py\n"},
    "yaml": {"metadata.yaml": "description: the other spelling\n", "metadata": "{"},
}


def write_bioclip(folder: Path, source: str) -> None:
    """Write a submission on BioCLIP features."""
    _write(folder, source, _classifier(BIOCLIP_WIDTH, "linear"))


def write_dino(folder: Path, source: str) -> None:
    """Write a submission on DINOv2 features, class token and mean patch."""
    _write(folder, source, _classifier(2 * DINO_WIDTH, "sgd"))


def write_talking(folder: Path) -> None:
    """Write a submission that prints a lot."""
    _write(folder, TALKING, _classifier(48, "linear"))


def write_list_or_image(folder: Path, utils: str = UTILS) -> None:
    """Write a submission of several files, without ``clf.pkl``."""
    import torch

    files = {
        "model.py": LIST_OR_IMAGE,
        "utils.py": utils,
        "network/__init__.py": "WIDTH = 6\n",
        "network/layers.py": LAYERS,
        "config/settings.json": '{"size": 64}',
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    generator = torch.Generator().manual_seed(5)
    shapes = {"0.weight": (6, 3, 5, 5), "0.bias": (6,), "4.weight": (14, 6), "4.bias": (14,)}
    torch.save(
        {f"net.{n}": 0.1 * torch.randn(*s, generator=generator) for n, s in shapes.items()},
        folder / "weights.pth",
    )
    # A class of model.py, as a script there would have pickled it.
    (folder / "scaler.pkl").write_bytes(
        b"\x80\x03cmodel\nScaler\nq\x00)\x81q\x01}q\x02X\x06\x00\x00\x00factorq\x03G@\x00"
        b"\x00\x00\x00\x00\x00\x00sb."
    )


def _write(folder: Path, source: str, classifier: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.py").write_text(source, encoding="utf-8")
    (folder / "clf.pkl").write_bytes(pickle.dumps(classifier))


def _classifier(width: int, kind: str) -> Any:
    """Fit a scikit-learn classifier on random vectors."""
    from sklearn.linear_model import LogisticRegression, SGDClassifier

    generator = np.random.default_rng(width)
    vectors = generator.normal(size=(60, width)).astype(np.float32)
    labels = (vectors[:, 0] + vectors[:, -1] > 0).astype(int)
    made = (
        LogisticRegression()
        if kind == "linear"
        else SGDClassifier(loss="log_loss", alpha=0.1, random_state=1)
    )
    return made.fit(vectors, labels)


def make_hub(home: Path) -> Path:
    """Fill a hub cache with small random models under the real ones' names; return HF_HOME."""
    import torch

    # Not the global generator's state: tests in the same process may rely on it.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        _cache(home, "imageomics/bioclip", _bioclip_files())
        _cache(home, "facebook/dinov2-base", _dino_files())
    return home


def _bioclip_files() -> dict[str, bytes]:
    import io

    import torch
    from open_clip.model import CLIP

    tower = {"width": 32, "layers": 2, "heads": 2}
    configuration: dict[str, Any] = {
        "embed_dim": BIOCLIP_WIDTH,
        "vision_cfg": {"image_size": 224, "patch_size": 32, "head_width": 16, **tower},
        "text_cfg": {"context_length": 77, "vocab_size": 300, **tower},
    }
    del configuration["vision_cfg"]["heads"]
    preparation = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.268, 0.261, 0.275]}
    text = json.dumps({"model_cfg": configuration, "preprocess_cfg": preparation})
    weights = io.BytesIO()
    # Like the real repository: a pickled state, no safetensors.
    torch.save(CLIP(**configuration).state_dict(), weights)
    return {
        "open_clip_config.json": text.encode(),
        "open_clip_pytorch_model.bin": weights.getvalue(),
    }


def _dino_files() -> dict[str, bytes]:
    from safetensors.torch import save
    from transformers import Dinov2Config, Dinov2Model

    configuration = Dinov2Config(
        hidden_size=DINO_WIDTH, num_hidden_layers=2, num_attention_heads=2, image_size=518,
        patch_size=14, architectures=["Dinov2Model"],
    )  # fmt: skip
    preparation = {
        "image_processor_type": "BitImageProcessor",
        "do_center_crop": True, "crop_size": {"height": 224, "width": 224},
        "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True,
        "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
        "resample": 3, "rescale_factor": 1 / 255, "size": {"shortest_edge": 256},
    }  # fmt: skip
    weights = save(Dinov2Model(configuration).state_dict(), metadata={"format": "pt"})
    return {
        "config.json": configuration.to_json_string().encode(),
        "preprocessor_config.json": json.dumps(preparation).encode(),
        "model.safetensors": weights,
    }


def _cache(home: Path, repository: str, files: dict[str, bytes]) -> None:
    """Lay out files as a download would: blobs by content, a snapshot of links, a branch."""
    folder = home / "hub" / f"models--{repository.replace('/', '--')}"
    revision = hashlib.sha1(repository.encode(), usedforsecurity=False).hexdigest()
    snapshot = folder / "snapshots" / revision
    for made in (folder / "blobs", folder / "refs", snapshot):
        made.mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(revision, encoding="ascii")
    for name, content in files.items():
        blob = folder / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        (snapshot / name).symlink_to(os.path.relpath(blob, snapshot))


# What the original's ingestion program did, without its rounding: the module path, one image
# after the other as Pillow opens it. For several submissions, to import the libraries once;
# the working directory is the submission's folder, as at home.
PLAIN_LOOP = """
import json
import os
import sys

images, answer, *submissions = sys.argv[1:]
from PIL import Image

scores = {}
for submission in submissions:
    os.chdir(submission)
    sys.path.append(submission)
    from model import Model

    model = Model()
    model.load()
    scores[submission] = {}
    for name in os.listdir(images):
        datapoint = Image.open(os.path.join(images, name))
        scores[submission][name] = float(model.predict(datapoint))
    sys.path.remove(submission)
    del sys.modules["model"]
with open(answer, "w") as file:
    json.dump(scores, file)
"""
