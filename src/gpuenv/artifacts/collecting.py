"""What is collected while the members of a package pass: its native files, its imports, and what was not read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gpuenv.artifacts.native_files import is_native_name, is_perhaps_program, read_passing_file
from gpuenv.artifacts.tar_members import Member, MemberKind
from gpuenv.errors import FormatError, GpuenvError
from gpuenv.model import NativeFile

__all__ = ["Collector"]

IMPORT_BUDGET_BYTES = 8 << 20
_SOURCE_BYTES = 1 << 20
# A package has some thousand at most; each takes about a millisecond.
_MOST_NATIVE_FILES = 20_000


@dataclass(slots=True, kw_only=True)
class Collector:
    """Of the members that were looked at so far. Of two with one path the later one counts, as it does on disk.

    `reads_sources_beside_code` False means that Python sources are looked at only as long as there is no native file.
    `on_file` is told of each native file as soon as it is read.
    """

    on_file: Callable[[NativeFile], None] | None = None
    reads_sources_beside_code: bool = False
    files: dict[str, NativeFile] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    members: int = 0
    complete: bool = True
    _outside: int = 0
    _sources_left: int = IMPORT_BUDGET_BYTES

    def look(self, member: Member) -> None:
        """Takes what matters of one member; errors of its bytes pass through."""
        if member.kind is MemberKind.FOLDER:
            return
        self.members += 1
        if member.is_outside:
            self._outside += 1
            if self._outside == 1:
                self.problems.append(f"`{member.path}` leads out of the package and was not read")
        elif is_native_name(member.path) or is_perhaps_program(
            member.path, member.size_bytes, executable=member.executable
        ):
            self._look_at_code(member)
        elif member.kind is MemberKind.FILE and member.path.endswith(".py"):
            self._look_at_source(member)

    def break_off(self, error: GpuenvError) -> None:
        """Ends the reading at an error and keeps what was read before it."""
        self.complete = False
        self.problems.append(": ".join((error.message, *error.reasons[:1])))

    def native_files(self) -> tuple[NativeFile, ...]:
        """All native files by path."""
        return tuple(self.files[path] for path in sorted(self.files))

    def imports_found(self) -> dict[str, str]:
        """The GPU packages that the sources import, none of a package whose native files tell more."""
        return {} if self.files and not self.reads_sources_beside_code else dict(sorted(self.imports.items()))

    def _look_at_code(self, member: Member) -> None:
        path, size = member.path, member.size_bytes
        file: NativeFile | None
        if member.kind is MemberKind.SPARSE:
            file = NativeFile(path=path, size_bytes=size, problem="it is stored with holes and was not read")
        elif member.kind is MemberKind.FILE:
            file = read_passing_file(member.chunks, path=path, size_bytes=size)
        else:
            return
        self.files.pop(member.path, None)
        if not file:
            return
        if len(self.files) >= _MOST_NATIVE_FILES:
            raise FormatError(f"a package has more than {_MOST_NATIVE_FILES} native files")
        self.files[member.path] = file
        if self.on_file:
            self.on_file(file)

    def _look_at_source(self, member: Member) -> None:
        from gpuenv.artifacts.imports import find_imports, wanted_sources

        if self.files and not self.reads_sources_beside_code:
            return
        size = member.size_bytes
        if not 0 < size <= min(_SOURCE_BYTES, self._sources_left):
            return
        if member.path in wanted_sources([(member.path, size)], budget_bytes=self._sources_left):
            self._sources_left -= size
            for name in find_imports(member.path, b"".join(member.chunks)):
                self.imports.setdefault(name, member.path)
