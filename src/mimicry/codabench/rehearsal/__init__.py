"""Rehearsals: a whole competition played through on this machine, Development to Final."""
