"""Every environment variable that gpuenv obeys and every default, in one list.

Values are read when they are asked for, never at import. The list `VARIABLES` is what `docs/settings.md` is
checked against.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

VARIABLES: dict[str, str] = {
    "GPUENV_DATA_DIR": "Directory of named environments and the user's catalog (default: the user's data directory).",
    "GPUENV_CACHE_DIR": "Directory for what can be made again (default: the user's cache directory).",
    "GPUENV_PYTHON": "Python version to plan for when `--python` is not given.",
    "GPUENV_MACHINE": "Machine to plan for when `--machine` is not given: a file or a short form.",
    "CONDA_OVERRIDE_CUDA": "CUDA version the driver is taken to serve; empty means no driver (CEP 30).",
    "CONDA_OVERRIDE_CUDA_ARCH": "Lowest compute capability to assume; empty means none (CEP 46).",
    "CONDA_OVERRIDE_GLIBC": "GNU C library version to assume (CEP 30).",
    "CONDA_OVERRIDE_ARCHSPEC": "Processor to assume, by its name in archspec (CEP 30).",
    "CONDA_OVERRIDE_LINUX": "Kernel version to assume on Linux (CEP 30).",
    "CONDA_OVERRIDE_OSX": "macOS version to assume on macOS (CEP 30).",
    "CONDA_OVERRIDE_WIN": "Windows version to assume on Windows (CEP 30).",
    "SSL_CERT_FILE": "Certificates to trust, in place of those that come along.",
    "NO_COLOR": "Any value turns colour off.",
    "UV_DEFAULT_INDEX": "Python index that `uv` uses in place of its own default.",
    "UV_INDEX": "Further Python indexes for `uv`.",
    "UV_INDEX_URL": "The older name of UV_DEFAULT_INDEX.",
    "UV_EXTRA_INDEX_URL": "The older name of UV_INDEX.",
    "UV_FIND_LINKS": "Further places where `uv` looks for wheels.",
    "UV_INDEX_<NAME>_USERNAME": "User name for the index that UV_INDEX or UV_DEFAULT_INDEX calls NAME.",
    "UV_INDEX_<NAME>_PASSWORD": "Password for the index that UV_INDEX or UV_DEFAULT_INDEX calls NAME.",
    "GPUENV_INDEX_<NAME>": "Address in place of that of the project index NAME (PYTORCH); empty means never to ask it.",
    "UV_CACHE_DIR": "Where `uv` keeps what it downloaded.",
    "UV_LINK_MODE": "How `uv` puts files from its cache into an environment (hard links where it can).",
    "PYENV_ROOT": "Where pyenv keeps its Pythons, which plans may choose among.",
    "UV_PYTHON_INSTALL_DIR": "Where `uv` keeps its Pythons, which plans may choose among.",
    "XDG_DATA_HOME": "Where `uv` keeps its Pythons unless UV_PYTHON_INSTALL_DIR says otherwise (on Windows APPDATA).",
    "APPDATA": "Where `uv` keeps its Pythons on Windows.",
    "CONDA_EXE": "Where conda is, whose Python plans may choose, and beside which its configuration may be.",
    "CONDA_ROOT": "conda's base installation, where its configuration may be (default: where CONDA_EXE is).",
    "CONDA_PREFIX": "The active conda environment, where conda's configuration may be.",
    "CONDARC": "A configuration file of conda that is stronger than all others.",
    "XDG_CONFIG_HOME": "Below it conda's configuration may be, in `conda`.",
    "HOME": "The user's home, which `~` means in channels and conda's configuration (on Windows USERPROFILE).",
    "USERPROFILE": "The user's home on Windows.",
    "CONDA_CHANNELS": "Channels, divided by commas, before those of conda's configuration.",
    "CONDA_CHANNEL_ALIAS": "Where channels are that are given by name.",
    "CONDA_CHANNEL_PRIORITY": "strict (the default here), flexible or disabled, as conda means it.",
    "CONDA_OFFLINE": "Any true value: channels are taken as they were fetched before.",
    "CONDA_SSL_VERIFY": "False, or a file of certificates to trust when channels are read.",
    "CONDA_BLD_PATH": "Where conda-build keeps what it built: the channel `local`.",
    "RATTLER_AUTH_FILE": "File with logins for channels (default: the system's keyring and rattler's own file).",
    "VIRTUAL_ENV": "The active environment, which verbs mean when no other is named.",
    "SHELL": "The shell that `gpuenv shell` opens (on Windows COMSPEC).",
    "COMSPEC": "The shell that `gpuenv shell` opens on Windows.",
    "ZDOTDIR": "Where zsh's own files are, kept in a shell of gpuenv.",
    "GPUENV_SHELL_PREFIX": "Set by `gpuenv shell`: the environment of this shell.",
    "GPUENV_SHELL_DEPTH": "Set by `gpuenv shell`: how many such shells are around this one.",
    "GPUENV_SHELL_ZDOTDIR": "Set by `gpuenv shell` while zsh starts.",
}

PROBE_TIMEOUT_SECONDS = 15.0
"""How long one question to a driver may take before it counts as unanswered."""

CATALOG_BUDGET_GB = 1.0
"""How many GB of wheels `gpuenv catalog` opens when nobody says how many."""

CATALOG_PROJECTS_AT_ONCE = 4
"""How many projects are asked for at once while the catalog is built."""

CATALOG_WHEELS_AT_ONCE = 2
"""How many wheels are read at once while the catalog is built."""

UV_CONCURRENT_DOWNLOADS = 32
"""How many files `uv` fetches at once when the user set no bound of their own."""

CHANNEL_FILE_SECONDS = 300
"""How long one file of a conda channel, such as its repodata, may take to come."""

CHANNEL_SILENT_SECONDS = 20.0
"""After how long without an answer of a channel its server is asked whether it is there, and how long it may take to
say so.
"""

PROJECT_INDEX_SECONDS = 1.5
"""How long a plan waits for projects' own indexes in all."""

PROJECT_INDEX_KEPT_SECONDS = 6 * 3600.0
"""How long what a project's own index answered is taken for current."""

PROJECT_INDEX_SILENT_SECONDS = 600.0
"""How long a project's own index that did not answer is not asked again."""


def variable(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """The value of a variable of the list, None when it is not set; an empty value stays an empty string."""
    if name not in VARIABLES:
        raise KeyError(name)
    return (os.environ if environ is None else environ).get(name)


def project_index(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """The user's address for the project index `name` (`GPUENV_INDEX_PYTORCH`), with capitals and `_` for all but
    letters and digits; None when it is not set, empty when that index is not to be asked.
    """
    key = "GPUENV_INDEX_" + "".join(one if one.isascii() and one.isalnum() else "_" for one in name.upper())
    return (os.environ if environ is None else environ).get(key)


def data_directory() -> Path:
    """Where named environments live."""
    return _directory("GPUENV_DATA_DIR", "user_data_path")


def catalog_directory() -> Path:
    """Where the user's own copy of the catalog lives."""
    return data_directory() / "catalog"


def cache_directory() -> Path:
    """Where files that can be made again live."""
    return _directory("GPUENV_CACHE_DIR", "user_cache_path")


def _directory(name: str, kind: str) -> Path:
    chosen = variable(name)
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    path: Path = getattr(platformdirs, kind)("gpuenv", appauthor=False)
    return path
