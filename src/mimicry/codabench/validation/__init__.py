"""Everything that can be known about a bundle before it is uploaded."""
