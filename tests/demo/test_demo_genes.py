"""Inheritance: traits of hybrids lie between and beside their parents', never by accident."""

import numpy as np
import pytest

from mimicry.demo.genes import (
    LOCI,
    SUBSPECIES,
    Traits,
    express,
    founder,
    gamete,
    hybrid,
    subspecies_named,
)
from mimicry.demo.scene import draw_specimen, rng_for
from mimicry.demo.shapes import wing

F1 = {"F1": 1.0, "F2": 0.0, "backcross": 0.0}
BACKCROSS = {"F1": 0.0, "F2": 0.0, "backcross": 1.0}


def mean_traits(make, count=200):
    return Traits(*np.mean([express(make(rng_for(1, i))) for i in range(count)], axis=0))


def test_every_name_of_the_label_file_has_its_own_alleles():
    names = [
        "lativitta",
        "notabilis",
        "malleti",
        "plesseni",
        "amalfreda",
        "chestertonii",
        "cyrbia",
        "demophoon",
        "dignus",
        "erato",
        "etylus",
        "hydara",
        "petiverana",
        "phyllis",
        "venus",
    ]
    assert set(names) == set(SUBSPECIES)
    assert len({population.alleles for population in SUBSPECIES.values()}) == len(names)
    assert {name for name in names if SUBSPECIES[name].species == "mimic"} == {
        "malleti",
        "plesseni",
    }


@pytest.mark.parametrize("name", sorted(SUBSPECIES))
def test_a_subspecies_breeds_true(name):
    population = SUBSPECIES[name]
    mean = mean_traits(lambda rng: founder(population, rng))
    assert np.array(mean) == pytest.approx(np.array(population.alleles), abs=0.08)


def test_first_generation_shows_both_parents():
    notabilis, lativitta = SUBSPECIES["notabilis"], SUBSPECIES["lativitta"]
    child = mean_traits(lambda rng: hybrid(notabilis, lativitta, rng, F1))
    assert 0.4 < child.rays < 0.8
    assert 0.2 < child.band_rim < 0.7
    assert 0.3 < child.band_yellow < 0.8


def test_a_recessive_bar_is_a_shadow_in_hybrids():
    hydara, petiverana = SUBSPECIES["hydara"], SUBSPECIES["petiverana"]
    child = mean_traits(lambda rng: hybrid(hydara, petiverana, rng, F1))
    assert 0.05 < child.bar < 0.47


def test_backcrosses_vary_more_than_first_generation():
    notabilis, lativitta = SUBSPECIES["notabilis"], SUBSPECIES["lativitta"]

    def spread(kind):
        rays = [express(hybrid(notabilis, lativitta, rng_for(2, i), kind)).rays for i in range(200)]
        return np.std(rays)

    assert spread(BACKCROSS) > 1.5 * spread(F1)


def test_neighbouring_loci_are_inherited_together():
    genome = np.stack([np.zeros(len(LOCI)), np.ones(len(LOCI))])
    names = list(LOCI)
    children = np.array([gamete(genome, rng_for(3, i)) for i in range(600)])

    def together(a, b):
        return (children[:, names.index(a)] == children[:, names.index(b)]).mean()

    assert together("dennis", "rays") > 0.88
    assert 0.4 < together("dennis", "bar") < 0.6


def test_an_unknown_name_has_fixed_alleles_of_its_own():
    assert subspecies_named("rosina") == subspecies_named("rosina")
    assert subspecies_named("rosina").alleles != subspecies_named("cydno").alleles
    assert subspecies_named("rosina", "mimic").species == "mimic"
    assert all(0 <= allele <= 1 for allele in subspecies_named("x" * 500).alleles)


def test_species_differ_in_shape():
    outlines = [wing(species, "fore", rng_for(1, "w")).outline for species in ("A", "mimic")]
    assert np.abs(outlines[0] - outlines[1]).max() > 0.03


@pytest.mark.parametrize("size", [(16, 16), (31, 200), (200, 31), (321, 223), (2400, 300)])
def test_any_size_can_be_drawn(size):
    rng = rng_for(1, "size")
    picture = draw_specimen(founder(SUBSPECIES["cyrbia"], rng), "A", size, rng)
    assert picture.size == size and picture.mode == "RGB"


def test_large_pictures_are_sharp_enough_and_noisy():
    rng = rng_for(1, "large")
    picture = draw_specimen(founder(SUBSPECIES["erato"], rng), "A", (5000, 3400), rng)
    corner = np.asarray(picture.crop((2400, 3300, 2600, 3390)), float)
    assert corner.std() > 0.3
    assert picture.size == (5000, 3400)
