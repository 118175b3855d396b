"""Where packages come from and what is there: the catalog of GPU packages, and Python indexes through `uv`."""
