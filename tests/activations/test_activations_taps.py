"""Taps and pooling: which numbers of a model become activations."""

import contextlib

import pytest
import torch
from torch import nn

from mimicry.activations.pooling import PrefixTokens, plan_pooling, pool, prefix_tokens
from mimicry.activations.taps import Taps, find_module
from mimicry.errors import BundleError


class Chain(nn.Module):
    """A small network with everything that taps can meet."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.norm = nn.BatchNorm2d(4)
        self.pair = Pair()
        self.unused = nn.Identity()
        self.head = nn.Linear(4, 2)
        self.reached = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.relu(self.first(images))
        maps = self.relu(self.norm(maps))
        features = self.pair(maps)[0].mean((2, 3))
        self.reached += 1
        return self.head(features)


class Pair(nn.Module):
    def forward(self, maps):
        return maps, maps


class Emits(nn.Module):
    """A model whose one layer emits what it is told to."""

    def __init__(self, make) -> None:
        super().__init__()
        self.layer = Inner(make)

    def forward(self, images):
        self.layer(images)
        return images


class Inner(nn.Module):
    def __init__(self, make) -> None:
        super().__init__()
        self.make = make

    def forward(self, images):
        return self.make(images)


@pytest.fixture
def chain() -> Chain:
    torch.manual_seed(0)
    return Chain().eval()


@pytest.fixture
def batch() -> torch.Tensor:
    return torch.randn(5, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def test_a_tap_gives_what_its_module_emits_before_others_write_into_it(chain, batch):
    with torch.inference_mode():
        expected = chain.first(batch)
        assert (expected < 0).any()
        for run in (Taps(chain, ["first"]), Taps(chain, ["first"]).whole):
            torch.testing.assert_close(run(batch)[0], expected, rtol=0, atol=0)


def test_several_taps_keep_their_order_and_their_numbers(chain, batch):
    with torch.inference_mode():
        first, norm, output = Taps(chain, ["first", "norm", ""])(batch)
        late, early = Taps(chain, ["head", "first"])(batch)
        expected = chain.first(batch)
        torch.testing.assert_close(first, expected)
        torch.testing.assert_close(early, expected)
        torch.testing.assert_close(norm, chain.norm(expected.relu()))
        torch.testing.assert_close(output, late)
        torch.testing.assert_close(output, chain(batch))


def test_the_pass_ends_at_the_last_tap(chain, batch):
    taps = Taps(chain, ["norm", "first"])
    taps(batch)
    assert chain.reached == 0
    taps.whole(batch)
    assert chain.reached == 1
    taps.remove()
    chain(batch)
    assert chain.reached == 2


def test_a_model_that_swallows_exceptions_is_ended_too(batch):
    class Stubborn(Chain):
        def forward(self, images):
            with contextlib.suppress(Exception):
                self.first(images)
            return super().forward(images)

    model = Stubborn().eval()
    Taps(model, ["first"])(batch)
    assert model.reached == 0


def test_the_output_may_be_called_output_unless_a_module_is(chain):
    assert find_module(chain, "") is find_module(chain, "output") is chain
    chain.output = nn.Identity()
    assert find_module(chain, "output") is chain.output


def test_an_unknown_layer_names_the_nearest_ones(chain):
    with pytest.raises(BundleError, match=r"no layer 'frist'; it has first") as caught:
        Taps(chain, ["frist"])
    assert caught.value.code == "layer-unknown"
    nested = nn.Sequential(nn.Sequential(chain))
    with pytest.raises(BundleError, match=r"0\.0\.norm"):
        Taps(nested, ["norm"])
    with pytest.raises(BundleError, match="it has no modules"):
        Taps(nn.Identity(), ["norm"])


def test_a_layer_that_takes_no_part_is_refused(chain, batch):
    with pytest.raises(BundleError) as caught:
        Taps(chain, ["unused"])(batch)
    assert caught.value.code == "layer-silent"


def test_a_layer_that_is_called_again_is_refused(chain, batch):
    with pytest.raises(BundleError, match="called 2 times") as caught:
        Taps(chain, ["relu"]).whole(batch)
    assert caught.value.code == "layer-repeats"


@pytest.mark.parametrize(
    ("make", "phrase"),
    [
        (lambda images: (images, images), r"2 things \(Tensor, Tensor\)"),
        (lambda images: {"a": images, "b": 1}, "a mapping of a, b"),
        (lambda images: None, "a NoneType"),
        (lambda images: images.long(), "torch.int64"),
        (lambda images: images.mean(), r"the shape \(\) for 5 images"),
        (lambda images: images.mean((1, 2, 3)), r"the shape \(5,\)"),
        (lambda images: images.transpose(0, 1), r"the shape \(3, 5, 6, 6\)"),
    ],
)
def test_outputs_that_are_no_activations_are_refused(batch, make, phrase):
    with pytest.raises(BundleError, match=phrase) as caught:
        Taps(Emits(make), ["layer"])(batch)
    assert caught.value.code == "layer-output"


def test_one_tensor_in_a_tuple_is_that_tensor(batch):
    (output,) = Taps(Emits(lambda images: (images,)), ["layer"])(batch)
    assert output is batch


PLAIN = PrefixTokens(None, False)
CLASS = PrefixTokens(1, True)


@pytest.mark.parametrize(
    ("shape", "pooling", "tokens", "layout", "prefix", "width"),
    [
        ((2, 7), "flatten", PLAIN, "other", 0, 7),
        ((2, 7), "mean", PLAIN, "vector", 0, 7),
        ((2, 8, 5, 5), "flatten", PLAIN, "other", 0, 200),
        ((2, 8, 5, 5), "mean", PLAIN, "channels-first", 0, 8),
        ((2, 5, 5, 8), "mean", PLAIN, "channels-last", 0, 8),
        ((2, 8, 1, 1), "mean", PLAIN, "channels-first", 0, 8),
        ((2, 50, 8), "cls", CLASS, "tokens", 1, 8),
        ((2, 50, 8), "mean", CLASS, "tokens", 1, 8),
        ((2, 50, 8), "cls+mean", CLASS, "tokens", 1, 16),
        # The model says nothing, but has a class token.
        ((2, 50, 8), "cls", PrefixTokens(None, True), "tokens", 1, 8),
        # A class token and four registers.
        ((2, 54, 8), "cls+mean", PrefixTokens(5, True), "tokens", 5, 16),
        # Registers alone.
        ((2, 53, 8), "mean", PrefixTokens(4, False), "tokens", 4, 8),
        # Before the class token comes in.
        ((2, 49, 8), "mean", CLASS, "tokens", 0, 8),
        # What was left is the class token.
        ((2, 1, 8), "cls", PrefixTokens(None, True), "tokens", 0, 8),
        ((2, 2, 3, 4, 5), "flatten", PLAIN, "other", 0, 120),
    ],
)
def test_layouts_are_told_by_shapes(shape, pooling, tokens, layout, prefix, width):
    plan = plan_pooling(shape, pooling, tokens)
    assert plan == (pooling, layout, prefix, width)
    assert pool(torch.randn(shape), plan).shape == (shape[0], width)


@pytest.mark.parametrize(
    ("shape", "pooling", "tokens"),
    [
        ((2, 5, 5, 5), "mean", PLAIN),
        ((2, 4, 5, 6), "mean", PLAIN),
        ((2, 8, 5, 5), "cls", PLAIN),
        ((2, 7), "cls", CLASS),
        ((2, 7), "cls+mean", CLASS),
        ((2, 50, 8), "mean", PLAIN),
        ((2, 49, 8), "cls", PLAIN),
        ((2, 49, 8), "cls", CLASS),
        ((2, 53, 8), "cls", PrefixTokens(4, False)),
        ((2, 1, 8), "cls+mean", PrefixTokens(None, True)),
        ((2, 2, 3, 4, 5), "mean", PLAIN),
    ],
)
def test_what_cannot_be_told_is_refused(shape, pooling, tokens):
    with pytest.raises(BundleError, match="pooling flatten") as caught:
        plan_pooling(shape, pooling, tokens)
    assert caught.value.code == "pooling-impossible"


def test_pooling_takes_the_numbers_it_says():
    tokens = torch.randn(3, 11, 4)
    five = PrefixTokens(2, True)
    cls, mean, both = (
        pool(tokens, plan_pooling(tokens.shape, pooling, five))
        for pooling in ("cls", "mean", "cls+mean")
    )
    torch.testing.assert_close(cls, tokens[:, 0])
    torch.testing.assert_close(mean, tokens[:, 2:].sum(1) / 9)
    torch.testing.assert_close(both, torch.cat((cls, mean), 1))
    maps = torch.randn(3, 4, 5, 5)
    for laid_out in (maps, maps.contiguous(memory_format=torch.channels_last)):
        flat = pool(laid_out, plan_pooling(maps.shape, "flatten", PLAIN))
        torch.testing.assert_close(flat, maps.reshape(3, -1), rtol=0, atol=0)
    first = pool(maps, plan_pooling(maps.shape, "mean", PLAIN))
    last = maps.permute(0, 2, 3, 1)
    torch.testing.assert_close(first, pool(last, plan_pooling(last.shape, "mean", PLAIN)))


def test_prefix_tokens_are_what_models_say():
    model = nn.Module()
    assert prefix_tokens(model) == (None, False)
    model.cls_token = None
    assert prefix_tokens(model) == (None, False)
    model.num_prefix_tokens = 5
    model.class_embedding = nn.Parameter(torch.zeros(3))
    assert prefix_tokens(model) == (5, True)
