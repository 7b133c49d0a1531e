"""The platform's contract: competitions, packing, engines, runs and the board."""
