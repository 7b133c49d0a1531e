"""Simulated annealing over stimuli, as participants did it, and with exact cheap steps."""

import time

import numpy as np


def unit_kernels(features, members):
    """Centred kernels of the chosen stimuli, of unit norm, as vectors."""
    vectors = []
    for one in features:
        chosen = np.asarray(one, dtype=np.float64)[members]
        chosen = chosen - chosen.mean(axis=0)
        kernel = chosen @ chosen.T
        length = np.linalg.norm(kernel)
        vectors.append((kernel / length if length > 0 else kernel * 0).ravel())
    return np.stack(vectors)


def mean_cka_naive(features, members):
    """The mean over pairs of models of biased linear CKA, term by term."""
    vectors = unit_kernels(features, np.asarray(members))
    return float((vectors @ vectors.T)[np.triu_indices(len(vectors), k=1)].mean())


def annealed(features, count, cpu_seconds, seed=0, exact=True, hot=2e-3):
    """Anneal by random swaps for so much CPU time; return the least mean CKA that was met.

    A step of the participants (exact=False) changes one row of each kernel and then
    centres and normalises all of them again; an exact one changes sums alone.
    """
    random = np.random.default_rng(seed)
    grams = []
    for one in features:
        centred = np.asarray(one, dtype=np.float64)
        centred = centred - centred.mean(axis=0)
        grams.append(centred @ centred.T / np.square(centred).sum(axis=1).mean())
    kernels = np.stack(grams)
    upper = np.triu_indices(len(kernels), k=1)
    size = kernels.shape[1]
    members = random.choice(size, count, replace=False)
    inside = np.zeros(size, dtype=bool)
    inside[members] = True

    def from_sums(products, rows):
        sums = rows.sum(axis=1)
        hsic = products - (2 / count) * (rows @ rows.T) + np.outer(sums, sums) / count**2
        length = np.sqrt(np.diag(hsic))
        return (hsic / np.outer(length, length))[upper].mean()

    def centred_again(chosen):
        centred = chosen - chosen.mean(axis=1, keepdims=True)
        centred = centred - centred.mean(axis=2, keepdims=True)
        flat = centred.reshape(len(chosen), -1)
        flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
        return (flat @ flat.T)[upper].mean()

    chosen = kernels[:, members][:, :, members]
    products, rows = np.einsum("iab,jab->ij", chosen, chosen), chosen.sum(axis=2)
    current = least = from_sums(products, rows)
    began = time.process_time()
    while (spent := (time.process_time() - began) / cpu_seconds) < 1:
        temperature = hot * 1e-3**spent
        place, coming = int(random.integers(count)), int(random.integers(size))
        if inside[coming]:
            continue
        leaving = members[place]
        new = kernels[:, coming, members]
        new[:, place] = kernels[:, coming, coming]
        if exact:
            old = kernels[:, leaving, members]
            own_old, own_new = old[:, place].copy(), new[:, place].copy()
            old[:, place] = 0
            others = new.copy()
            others[:, place] = 0
            next_products = products - 2 * old @ old.T - np.outer(own_old, own_old)
            next_products += 2 * others @ others.T + np.outer(own_new, own_new)
            next_rows = rows - old + others
            next_rows[:, place] = others.sum(axis=1) + own_new
            value = from_sums(next_products, next_rows)
        else:
            next_chosen = chosen.copy()
            next_chosen[:, place, :] = new
            next_chosen[:, :, place] = new
            value = centred_again(next_chosen)
        if value < current or random.random() < np.exp((current - value) / temperature):
            inside[leaving], inside[coming] = False, True
            members[place] = coming
            current = value
            if exact:
                products, rows = next_products, next_rows
            else:
                chosen = next_chosen
            least = min(least, current)
    return least
