"""Audits conda packages and channels: what metadata say against what is in the binaries.

`gathering` finds records and files, `reading` looks into them. `records`, `bounds`, `lines`, `preference` and
`pointing` find what differs; `correcting` and `patching` say what a repodata patch puts right.
"""

from gpuenv.audits.audit import PACKAGES_AT_ONCE, audit_packages

__all__ = ["PACKAGES_AT_ONCE", "audit_packages"]
