"""Pages that show results; they draw and compute nothing.

Which module draws which page:

- a submission's results page, on the platform and in every run: `hybrids` (with
  `hybrid_charts`, and `hybrid_facts` for what it is told), or `blue` and `red` (with `realign`
  for what both share); `failure` in their place where scoring failed, with its advice from
  `catalogue`;
- the page of a run, ``mimicry report``: `run`, which takes in the results page;
- the boards, ``mimicry board --html``: `board`, with `board_cells` for a row, `board_script`
  for tabs and sorting, `board_parts` for what it is told;
- the boards as a picture, ``mimicry board --svg``: `terminal`.

What they are made of, from the outside in: `layout` is the frame of a page, with the sheet of
`style`; `parts` has sections, cards and tables, and how intervals are rounded; `charts` has the
drawings; `facts` is what all results pages know; `markup` makes elements, which is what keeps
strangers' texts from becoming markup. Rooms that compute results build on this one, never the
other way round.
"""
