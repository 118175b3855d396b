"""A Python environment whose GPU packages are known to run on this machine, before the download and after it."""

__version__ = "0.1.0"
