"""Builds conda packages from recipes, stamps on them what their binaries ask for, and indexes channels.

`rendering` says what will be built, `compiling` builds it, `looking` reads the result. `contradictions` makes a build
fail; `targets.cuda_constraints` and `naming` say what `stamping` writes on it, `publishing` and `indexing` put it into
the channel.
"""

from gpuenv.recipes.build import build_channel
from gpuenv.recipes.indexing import index_channel

__all__ = ["build_channel", "index_channel"]
