"""A directory with one file of rows for each name on the index, each replaced in one step."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock

from gpuenv.channels.building.rows import by_version, encode_row
from gpuenv.channels.catalog.own_copy import SUFFIX
from gpuenv.channels.catalog.releases import Release, decode_rows
from gpuenv.errors import UnavailableError

__all__ = ["RowFiles", "write_whole"]


class RowFiles:
    """The files in `directory`. A process that is killed leaves each as it was before or after a row was put.

    Several threads may put rows.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._rows: dict[str, dict[str, Release]] = {}
        self._lock = Lock()

    def load(self, name: str) -> tuple[Release, ...]:
        """The rows in the file of `name`, none where there is none. FormatError, UnavailableError."""
        try:
            return decode_rows((self.directory / f"{name}{SUFFIX}").read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise UnavailableError(
                f"cannot read `{self.directory / name}{SUFFIX}`", reasons=(error.strerror or str(error),)
            ) from error

    def start(self, name: str, rows: Iterable[Release]) -> None:
        """Takes up the work on a name with these rows; its file gets them."""
        with self._lock:
            self._rows[name] = {row.version: row for row in rows}
            self._save(name)

    def row(self, name: str, version: str) -> Release | None:
        """A row of a name that was taken up."""
        with self._lock:
            return self._rows[name].get(version)

    def rows(self, name: str) -> list[Release]:
        """All rows of a name that was taken up, by version."""
        with self._lock:
            return by_version(self._rows[name].values())

    def put(self, row: Release) -> None:
        """Adds or replaces one row, in the file as well."""
        with self._lock:
            self._rows[row.wheel][row.version] = row
            self._save(row.wheel)

    def _save(self, name: str) -> None:
        rows = self._rows[name].values()
        if rows:
            write_whole(self.directory / f"{name}{SUFFIX}", b"".join(map(encode_row, by_version(rows))))


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that its path always has all of the old content or all of the new one. UnavailableError.

    One process at a time may write it.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        if path.is_file() and path.read_bytes() == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise UnavailableError(f"cannot write `{path}`", reasons=(error.strerror or str(error),)) from error
