"""The walls around the model's process: what it may read, write, call and reach.

`plan` decides, in the supervisor, what a model may have. `confine` is the small program
that takes everything else away and then becomes the model's process; it uses `landlock`
and `seccomp`. `hiding` takes the input images out of sight while the model runs,
`disk_use` watches what it fills, and `protections` says which of it all is active.
"""
