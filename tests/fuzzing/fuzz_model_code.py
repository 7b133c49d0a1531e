"""A participant's ``model.py``, which is looked at and never run."""

import ast

from fuzzing_checks import ACCEPTED, check_sentence

from mimicry.codabench.model_code import Finding, import_findings, model_findings, parse_source

_GOOD = b"""import numpy as np

class Model:
    batch_size = 8
    def load(self): pass
    def predict(self, image): return 0.5
    def predict_batch(self, images): return [0.5] * len(images)
"""
VALID = [
    _GOOD,
    b"# -*- coding: latin-1 -*-\n" + _GOOD,
    b"from x import Base\nclass Model(Base): pass\n",
    b"def make():\n    return type('Model', (), {})\nModel = make()\n",
    b"class Model(" + b"a." * 1900 + b"b): pass\n",
    b"class Model(" + b"f(" * 90 + b")" * 90 + b"): pass\n",
    b"class Model:\n  batch_size = "
    + b"9" * 4200
    + b"\n  def load(s): 1\n  def predict(s, i): 1\n",
    b"class Model:\n  load = predict = lambda *a: " + b"not " * 500 + b"1\n",
]
NASTY = [
    b"",
    b"\0",
    b"\xff\xfe",
    b"class Model: pass\n",
    b"class Model:\n  async def load(self): pass\n  def predict(self): pass\n",
    b"# coding: nope\n",
    b"# coding: rot13\n",
    b"(" * 300,
    b"x = " + b"-" * 3000 + b"1\n",
    b"x = " + b"1+" * 2000 + b"1\n",
    b"x = " + b"9" * 4400 + b"\n",
    b"if 1:\n" * 120,
    b"\x0c\xef\xbb\xbfx",
    b"import " + b"a." * 1000 + b"b\n",
    b"def load(self, *, x: 'y\\ud800' = f'{1:{2}}'): pass\n",
]
WORDS = [
    *(b"class Model", b"def load(self)", b"def predict(self, image)", b"predict_batch", b"import "),
    *(b"from . import *", b"async ", b"lambda", b"batch_size = ", b"# coding: ", b"@property\n"),
    *(b"*args", b"**kw", b"try:", b"except ImportError:", b"    ", b"f'{x}'", b"__init__", b":\n"),
]
SHARE = 3
LONGEST = 4096


def judge(data: bytes) -> str:
    """Look at `data` as a model's source, check what comes of it and return its outcome."""
    module = parse_source("model.py", data)
    if isinstance(module, Finding):
        findings = [module]
    else:
        assert isinstance(module, ast.Module)
        findings = [
            *model_findings(module, "model.py"),
            *import_findings(module, ["helper"], ["numpy"]),
        ]
    for finding in findings:
        assert finding.level in {"error", "warning", "note"}
        assert finding.sentence and "\n" not in finding.sentence
        check_sentence(finding.code)
    errors = [finding.code for finding in findings if finding.level == "error"]
    return errors[0] if errors else ACCEPTED


def one_input(data: bytes) -> None:
    """Raise if anything but the declared comes of `data`."""
    judge(data)
