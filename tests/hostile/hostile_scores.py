"""Scores that are none, and models whose answers are not what was asked for."""

from hostile_case import add, model

BAD, INFINITE = "bad-score", "not-finite"


def returning(name: str, does: str, value: str, expected: str, head: str = "", **more: object):
    source = model(head="import math\n" + head, predict=f"if self.count == 3: return {value}")
    add(name, does, {"model.py": source}, expected, **more)


returning("score-nan", "returns NaN", "math.nan", INFINITE, says=["3 of 12", "NaN"], full=True)
returning("score-infinite", "returns an infinity", "-math.inf", INFINITE)
returning("score-huge", "returns a whole number without a float", "10 ** 400", INFINITE)
returning("score-text", "returns text", "'0.5'", BAD)
returning("score-none", "returns nothing", "None", BAD)
returning("score-complex", "returns a complex number", "1j", BAD)
returning("score-list", "returns a list", "[0.5]", BAD)
returning("score-array", "returns two numbers", "np.zeros(2)", BAD, "import numpy as np")
returning(
    "score-object", "returns an array of objects", "np.array([object()])", BAD, "import numpy as np"
)
returning(
    "score-hostile-float",
    "returns a float that exits when it is read",
    "F(1)",
    "model-exit",
    "class F(float):\n    def __float__(self): os._exit(7)",
)
returning(
    "score-raising-float",
    "returns a float that raises when it is read",
    "F(1)",
    BAD,
    "class F(float):\n    def __float__(self): raise ValueError('no')",
)
returning(
    "score-lying-array",
    "returns something that only looks like an array",
    "A()",
    BAD,
    "class A:\n    shape = ()\n    def item(self): return 'nan'",
)
returning(
    "score-class-name",
    "returns an object whose class has a hostile name",
    'type("\\x1b[2J\\u202eX", (), {})()',
    BAD,
)
returning(
    "score-packed",
    "returns a float with a hostile text",
    "F(math.inf)",
    INFINITE,
    "class F(float):\n    __repr__ = __str__ = lambda self: os._exit(7)",
)


def batch(name: str, does: str, body: str, expected: str, extra: str = "", **more: object) -> None:
    source = model() + f"\n{extra}\ndef predict_batch(self, images):\n    {body}\n"
    source += "\nModel.predict_batch = predict_batch\n"
    add(name, does, {"model.py": source}, expected, **more)


batch("batch-short", "leaves one score out", "return [1.0] * (len(images) - 1)", "batch-length")
batch("batch-long", "adds one", "return [1.0] * (len(images) + 1)", "batch-length")
batch("batch-dict", "returns a mapping", "return {n: 1.0 for n in range(12)}", BAD)
batch("batch-generator", "returns a generator", "return (1.0 for image in images)", BAD)
batch(
    "batch-lying-length",
    "returns a sequence that lies about its length",
    "return L()",
    BAD,
    "class L(list):\n    def __len__(self): return 12",
)
batch(
    "batch-size-hostile",
    "has a batch size that raises",
    "return [1.0] * len(images)",
    "load-failed",
    "Model.batch_size = property(lambda self: 1 // 0)",
)
batch(
    "batch-size-huge",
    "asks for all images at once",
    "return [honest(image) for image in images]",
    "finished",
    "Model.batch_size = 10 ** 30",
)
batch(
    "batch-removes",
    "empties the list of images it gets",
    "scores = [honest(i) for i in images]; images.clear(); return scores",
    "finished",
)
