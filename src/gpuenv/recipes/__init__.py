"""Builds conda packages from recipes, stamps on them what their binaries ask for, and indexes channels.

`rendering` says what will be built, `compiling` builds it, `looking` reads the result. `contradictions` makes a build
fail; `targets.cuda_constraints` and `naming` say what `stamping` writes on it, `publishing` and `indexing` put it into
the channel.

Nothing is imported here: `build_child` needs `rendering` alone, once for each package.
"""
