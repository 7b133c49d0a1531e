"""Search for good Blue and Red submissions, with a proof, a gap or the best found so far."""
