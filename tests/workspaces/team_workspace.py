"""A workspace on disk and an index that can yank releases, for the tests of locks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import gpuenv
from gpuenv.model import Lock, LockReport, Request, Silence, SyncReport
from gpuenv.workspaces import LockOptions
from loopback_index import LoopbackIndex, Reply

V100 = "gpu=V100,driver=535.129.03"
H100 = "gpu=H100,driver=580.65.06"
KEPLER = "gpu=K80,driver=470.82.01"
NO_GPU = "gpu=none"


@dataclass
class YankingIndex(LoopbackIndex):
    """The index of the loopback interface, with releases that their project has withdrawn (PEP 592)."""

    yanked: dict[str, str] = field(default_factory=dict)

    def answer(self, path: str, accept: str) -> Reply:
        """The usual answer, with the files of `yanked` marked with their reasons."""
        reply = super().answer(path, accept)
        if "json" not in reply.content_type:
            return reply
        document = json.loads(reply.body)
        for file in document["files"]:
            if file["filename"] in self.yanked:
                file["yanked"] = self.yanked[file["filename"]]
        return Reply(body=json.dumps(document).encode(), content_type=reply.content_type)

    def remove(self, name: str, version: str) -> None:
        """Take all files of a release away."""
        files = self.projects[name]
        for file in [file for file in files if file.split("-")[1] == version]:
            del files[file]


@dataclass
class TeamWorkspace:
    """A directory with a `gpuenv.toml`, and the verbs as its commands call them."""

    directory: Path

    @property
    def path(self) -> Path:
        """Its lock."""
        return self.directory / "gpuenv.lock"

    def wants(self, *packages: str, machines: tuple[str, ...] = (NO_GPU,), more: str = "") -> None:
        """Write its `gpuenv.toml`."""
        lines = [f"packages = {json.dumps(packages)}", f"machines = {json.dumps(machines)}"]
        lines += ['python = "3.11"', 'index-policy = "pypi"', more]
        (self.directory / "gpuenv.toml").write_text("\n".join(lines) + "\n")

    def lock(self, *specs: str, machines: tuple[str, ...] = (), upgrade: bool = False, **options: object) -> LockReport:
        """`gpuenv lock` there."""
        found = self.options(*specs, machines=machines, **options)
        return gpuenv.lock(found, start=self.directory, upgrade=upgrade, report=Silence())

    def check(self) -> LockReport:
        """`gpuenv lock --check` there."""
        return gpuenv.check_lock(self.options(), start=self.directory, report=Silence())

    def sync(
        self,
        *,
        machine: str | None = None,
        prefix: Path | None = None,
        offline: bool = False,
        dry_run: bool = False,
        drop_foreign: bool = False,
    ) -> SyncReport:
        """`gpuenv sync` there."""
        return gpuenv.sync(
            start=self.directory,
            prefix=prefix,
            machine=gpuenv.parse_machine(machine) if machine else None,
            offline=offline,
            dry_run=dry_run,
            drop_foreign=drop_foreign,
            report=Silence(),
        )

    @staticmethod
    def options(*specs: str, machines: tuple[str, ...] = (), **options: object) -> LockOptions:
        """What is said on the command line."""
        file = options.get("file")
        assert file is None or isinstance(file, Path)
        python = "3.11" if specs or file else None
        return LockOptions(request=Request(specs=specs, python=python), machines=machines, file=file)

    def versions(self) -> dict[str, str]:
        """What the first plan of the lock installs."""
        return {wheel.name: wheel.version for wheel in self.content().plans[0].plan.wheels}

    def content(self) -> Lock:
        """The lock as it is."""
        from gpuenv.workspaces.lock_file import load_lock

        return load_lock(self.path)
