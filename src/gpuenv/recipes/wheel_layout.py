"""Where the files of a wheel go in a conda package, and what is written beside them.

A package for one Python has its modules in `lib/python3.11/site-packages`. One for any (`noarch: python`, CEP 34) has
them in `site-packages`, from where clients put them into place, as scripts from `python-scripts`; commands are made by
the client of `info/link.json`.
"""

from __future__ import annotations

import base64
import configparser
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpuenv.errors import FormatError
from gpuenv.model import printable
from gpuenv.recipes.wheel_archive import OpenWheel, WheelFile

__all__ = ["PLACEHOLDER", "Layout", "Placed", "entry_points", "link_words", "placed_files"]

PLACEHOLDER = "/opt/anaconda1anaconda2anaconda3"
"""What clients replace with the path of the environment (conda's `PREFIX_PLACEHOLDER`)."""

_LARGEST_SCRIPT = 1 << 20
_SHEBANG = re.compile(rb"#!pythonw?([^\r\n]*)\r?(?=\n)")
# What the client writes anew, and what only the wheel's own RECORD is signed with.
_DROPPED = ("RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "direct_url.json")
_COMMAND = re.compile(r"[\w][\w.-]*")
_OBJECT = re.compile(r"(?P<module>[\w.]+)\s*:\s*(?P<name>[\w.]+)\s*(?:\[[^\]]*\])?")
# What clients run or read by itself, and no wheel may bring.
_FORBIDDEN = re.compile(
    r"(?:info|conda-meta|pkgs)/.*|(?:bin|Scripts|python-scripts)/\.?[^/]*-(?:pre|post)-(?:un)?link\.(?:sh|bat)"
    r"|etc/conda/.*|condabin/.*",
    re.IGNORECASE,
)
# Files of conda's own package `python`, on Linux, macOS and Windows.
_OF_PYTHON = re.compile(
    r"(?:bin|Scripts|python-scripts)/(?:pythonw?|pydoc|idle|2to3)[\d.-]*t?(?:-config)?(?:-script\.py|\.exe|\.bat|\.cmd)?"
    r"|pythonw?[\d.]*t?\.(?:exe|dll)|lib/libpython[^/]*|lib/python\d[^/]*/(?!site-packages/).*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where things go. `python` is that of the package (3.11), None for any."""

    python: str | None
    windows: bool = False

    @property
    def site_packages(self) -> str:
        """Where modules go."""
        if self.python is None:
            return "site-packages"
        return "Lib/site-packages" if self.windows else f"lib/python{self.python}/site-packages"

    @property
    def scripts(self) -> str:
        """Where commands go."""
        if self.python is None:
            return "python-scripts"
        return "Scripts" if self.windows else "bin"

    @property
    def headers(self) -> str:
        """Where C headers go."""
        if self.python is None or self.windows:
            return "include"
        return f"include/python{self.python}"

    @property
    def above(self) -> str:
        """From `site-packages` to the environment, in the RECORD, once it is installed."""
        return "../.." if self.windows else "../../.."

    @property
    def installed_scripts(self) -> str:
        """Where commands are once it is installed."""
        return "Scripts" if self.windows else "bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One file of the package: from the wheel (`source`), or written here (`content`). `has_prefix` says that it holds
    the placeholder, which the client replaces. `recorded` is its line in the RECORD, empty for none.
    """

    path: str
    source: WheelFile | None = None
    content: bytes = b""
    executable: bool = False
    has_prefix: bool = False
    recorded: str = ""


def placed_files(wheel: OpenWheel, layout: Layout, commands: Sequence[str]) -> list[Placed]:
    """All files of the package, sorted by path, its RECORD among them. FormatError where two go to one place, or one
    to a place that is the client's.
    """
    found = [placed for file in wheel.files for placed in _place(wheel, file, layout)]
    if layout.python is not None:
        found += [one for command in commands for one in _command(command, layout)]
    record = f"{wheel.info}/RECORD"
    installer = f"{wheel.info}/INSTALLER"
    found.append(
        Placed(path=f"{layout.site_packages}/{installer}", content=b"conda\n", recorded=installer),
    )
    content = _record(found, record)
    found.append(Placed(path=f"{layout.site_packages}/{record}", content=content))
    _check_places(wheel, found, layout)
    return sorted(found, key=lambda one: one.path)


def _place(wheel: OpenWheel, file: WheelFile, layout: Layout) -> Iterator[Placed]:
    if file.path in {f"{wheel.info}/{name}" for name in _DROPPED} or "__pycache__/" in file.path:
        return
    top, _, rest = file.path.partition("/")
    if top != wheel.info.removesuffix(".dist-info") + ".data":
        if top.endswith(".data") and rest:
            reasons = (f"`{printable(file.path)}`",)
            raise FormatError(f"`{wheel.path.name}` has data of another package", reasons=reasons)
        yield _module(file, file.path, layout)
        return
    kind, _, inner = rest.partition("/")
    if kind in {"purelib", "platlib"} and inner:
        yield _module(file, inner, layout)
    elif kind == "scripts" and inner and "/" not in inner:
        yield _script(wheel, file, inner, layout)
    elif kind == "data" and inner:
        yield Placed(path=inner, source=file, executable=file.executable, recorded=f"{layout.above}/{inner}")
    elif kind == "headers" and inner:
        path = f"{layout.headers}/{wheel.info.partition('-')[0]}/{inner}"
        yield Placed(path=path, source=file, recorded=f"{layout.above}/{path}")
    else:
        raise FormatError(
            f"`{wheel.path.name}` has a file that nobody knows where to put",
            reasons=(
                f"`{printable(file.path)}`",
                "`.data` has purelib, platlib, scripts, data and headers",
            ),
        )


def _module(file: WheelFile, path: str, layout: Layout) -> Placed:
    return Placed(path=f"{layout.site_packages}/{path}", source=file, executable=file.executable, recorded=path)


def _script(wheel: OpenWheel, file: WheelFile, name: str, layout: Layout) -> Placed:
    """A script; `#!python` in its first line becomes the Python of the environment."""
    recorded = f"{layout.above}/{layout.installed_scripts}/{name}"
    path = f"{layout.scripts}/{name}"
    if file.size_bytes <= _LARGEST_SCRIPT:
        with wheel.content(file) as opened:
            content = opened.read(_LARGEST_SCRIPT)
        if found := _SHEBANG.match(content):
            line = f"#!{PLACEHOLDER}/bin/python".encode() + found[1]
            changed = line + content[found.end() :]
            return Placed(path=path, content=changed, executable=True, has_prefix=True, recorded=recorded)
    return Placed(path=path, source=file, executable=True, recorded=recorded)


# ---- commands ----------------------------------------------------------------------------------------------------


def entry_points(wheel: OpenWheel) -> tuple[str, ...]:
    """The commands of a wheel as `name = module:object`, sorted; FormatError for what makes none, and for one that is
    Python's own.
    """
    text = wheel.text("entry_points.txt")
    if text is None:
        return ()
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text)
    except configparser.Error as error:
        reasons = (printable(str(error)[:200]),)
        raise FormatError(f"`entry_points.txt` of `{wheel.path.name}` is broken", reasons=reasons) from error
    found = {}
    for group in ("console_scripts", "gui_scripts"):
        for name, value in parser.items(group) if parser.has_section(group) else ():
            target = _OBJECT.fullmatch(value.strip())
            if not (_COMMAND.fullmatch(name) and target):
                raise FormatError(
                    f"`entry_points.txt` of `{wheel.path.name}` names no command",
                    reasons=(printable(f"{name} = {value}"),),
                )
            _leave_python_alone(wheel, f"bin/{name}", name)
            found[name] = f"{name} = {target['module']}:{target['name']}"
    return tuple(found[name] for name in sorted(found))


def _command(command: str, layout: Layout) -> Iterator[Placed]:
    """The script that a client makes for packages for any Python, made here for one of one Python."""
    name, _, target = command.partition(" = ")
    module, _, attribute = target.partition(":")
    first = attribute.partition(".")[0]
    body = f'import sys\n\nfrom {module} import {first}\n\nif __name__ == "__main__":\n    sys.exit({attribute}())\n'
    if layout.windows:
        path = f"{layout.scripts}/{name}-script.py"
        yield Placed(path=path, content=body.encode(), recorded=f"{layout.above}/{path}")
        start = f'@"%~dp0..\\python.exe" "%~dp0{name}-script.py" %*\r\n'
        path = f"{layout.scripts}/{name}.bat"
        yield Placed(path=path, content=start.encode(), recorded=f"{layout.above}/{path}")
        return
    path = f"{layout.scripts}/{name}"
    yield Placed(
        path=path,
        content=f"#!{PLACEHOLDER}/bin/python\n{body}".encode(),
        executable=True,
        has_prefix=True,
        recorded=f"{layout.above}/{path}",
    )


# ---- RECORD ------------------------------------------------------------------------------------------------------


def _record(files: Sequence[Placed], own: str) -> bytes:
    """The RECORD of what will be there once it is installed. What the client changes has no hash in it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for file in sorted((one for one in files if one.recorded), key=lambda one: one.recorded):
        if file.has_prefix:
            writer.writerow((file.recorded, "", ""))
        else:
            digest, size = _sum(file)
            writer.writerow((file.recorded, f"sha256={digest}", size))
    writer.writerow((own, "", ""))
    return out.getvalue().encode()


def _sum(file: Placed) -> tuple[str, int]:
    import hashlib

    if file.source:
        digest, size = bytes.fromhex(file.source.sha256), file.source.size_bytes
    else:
        digest, size = hashlib.sha256(file.content).digest(), len(file.content)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), size


def _check_places(wheel: OpenWheel, files: Sequence[Placed], layout: Layout) -> None:
    tells_case = layout.python is not None and not layout.windows
    seen: set[str] = set()
    for file in files:
        if _FORBIDDEN.fullmatch(file.path):
            raise FormatError(
                f"`{wheel.path.name}` has a file where only conda itself puts any",
                reasons=(f"`{printable(file.path)}`",),
            )
        _leave_python_alone(wheel, file.path, file.path)
        key = file.path if tells_case else file.path.casefold()
        if key in seen:
            reasons = (f"`{printable(file.path)}`",)
            raise FormatError(f"`{wheel.path.name}` has two files for one place", reasons=reasons)
        seen.add(key)


def _leave_python_alone(wheel: OpenWheel, path: str, shown: str) -> None:
    """A wheel that brings `python` or `pydoc` would take the place of the interpreter wherever it is installed."""
    if _OF_PYTHON.fullmatch(path):
        raise FormatError(
            f"`{wheel.path.name}` has a file that belongs to Python itself", reasons=(f"`{printable(shown)}`",)
        )


def link_words(commands: Sequence[str]) -> dict[str, object]:
    """What `info/link.json` says of a package for any Python."""
    return {"type": "python", **({"entry_points": list(commands)} if commands else {})}
