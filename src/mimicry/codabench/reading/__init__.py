"""Reads a competition file key by key, as the platform would, and notes every fault."""
