"""Images that look alike: found by their hashes, however many there are."""

import numpy as np
import pytest
from data_sets_photographs import decoded, encoded, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from mimicry.data_sets import duplicates
from mimicry.data_sets.duplicates import Link, components, find_links
from mimicry.data_sets.prepare import look_of
from mimicry.errors import BundleError

HASHES = st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=40)


def hexadecimal(value: int) -> str:
    return f"{value:04x}"


@given(values=HASHES, near=st.integers(0, 8), block=st.sampled_from([1, 3, 2048]))
@settings(max_examples=100, deadline=None)
def test_links_are_those_of_comparing_every_pair(values: list[int], near: int, block: int) -> None:
    before = duplicates._BLOCK
    duplicates._BLOCK = block
    try:
        links = find_links(
            [str(i) for i in range(len(values))], list(map(hexadecimal, values)), near
        )
    finally:
        duplicates._BLOCK = before
    firsts = {value: i for i, value in reversed(list(enumerate(values)))}
    expected = {
        (min(firsts[a], firsts[b]), max(firsts[a], firsts[b]), (a ^ b).bit_count())
        for a in firsts
        for b in firsts
        if a < b and (a ^ b).bit_count() <= near
    }
    expected |= {(firsts[v], i, 0) for i, v in enumerate(values) if firsts[v] != i}
    assert {tuple(link) for link in links} == expected
    assert links == sorted(links)


def test_same_pixels_are_told_as_such() -> None:
    links = find_links(["p", "q", "p"], ["00ff", "00ff", "00ff"])
    assert links == [Link(0, 1, 0), Link(0, 2, -1)]


def test_copies_of_a_picture_are_found_and_other_pictures_are_not() -> None:
    originals = [picture(seed, (320, 224)) for seed in range(40)]
    looks = [look_of(image) for image in originals]
    copies = [
        decoded(encoded(originals[0], quality=40)),
        originals[1].resize((160, 112), Image.Resampling.LANCZOS),
        ImageEnhance.Brightness(originals[2]).enhance(0.9),
        originals[3].convert("L").convert("RGB"),
    ]
    looks += [look_of(copy) for copy in copies]
    links = find_links([str(i) for i in range(len(looks))], looks)
    assert [(link.first, link.second) for link in links] == [(i, 40 + i) for i in range(4)]


def test_too_many_links_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MOST_LINKS", 10)
    looks = [hexadecimal(1 << i) for i in range(8)]
    with pytest.raises(BundleError) as caught:
        find_links([str(i) for i in range(8)], looks, near=4)
    assert caught.value.code == "duplicates-many"


@given(links=st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=25))
@settings(max_examples=50, deadline=None)
def test_components_hang_together(links: list[tuple[int, int]]) -> None:
    groups = components(20, links)
    expected = np.arange(20)
    for _ in range(20):
        for a, b in links:
            expected[expected == expected[a]] = expected[b]
    same = expected[:, None] == expected[None]
    found = np.array(groups)
    assert ((found[:, None] == found[None]) == same).all()
