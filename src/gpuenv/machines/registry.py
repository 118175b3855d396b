"""Read the Windows registry, on Windows."""

from __future__ import annotations

import sys

__all__ = ["read_subkeys"]


def read_subkeys(key: str, names: tuple[str, ...]) -> tuple[dict[str, str | int], ...] | None:
    """For each subkey of `key` under HKEY_LOCAL_MACHINE those named values that are text or a number.

    None when there is no such key, or no registry. Subkeys that may not be read are left out.
    """
    if sys.platform != "win32":
        return None
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as parent:
            subkeys = [winreg.EnumKey(parent, index) for index in range(winreg.QueryInfoKey(parent)[0])]
    except OSError:
        return None
    found = []
    for subkey in subkeys:
        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, f"{key}\\{subkey}") as opened:
                found.append(_values(opened, names))
        except OSError:
            continue
    return tuple(values for values in found if values)


def _values(opened: object, names: tuple[str, ...]) -> dict[str, str | int]:
    if sys.platform != "win32":
        return {}
    import winreg

    assert isinstance(opened, winreg.HKEYType)
    values: dict[str, str | int] = {}
    for name in names:
        try:
            value, _ = winreg.QueryValueEx(opened, name)
        except OSError:
            continue
        if isinstance(value, str | int):
            values[name] = value
    return values
