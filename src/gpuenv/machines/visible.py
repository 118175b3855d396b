"""Which GPUs CUDA_VISIBLE_DEVICES leaves to a CUDA program.

Source: CUDA C++ Programming Guide, CUDA Environment Variables: a list of indexes or UUIDs (or their beginnings); the
first entry that names no device ends the list.
"""

from __future__ import annotations

from gpuenv.model import Gpu

__all__ = ["visible_count", "visible_note"]


def visible_count(value: str, gpus: tuple[Gpu, ...]) -> int:
    """How many of the GPUs a CUDA program sees with this value of the variable."""
    seen: set[int] = set()
    for entry in value.split(","):
        index = _find(entry.strip(), gpus)
        if index is None:
            break
        # A device named twice makes the whole list invalid.
        if index in seen:
            return 0
        seen.add(index)
    return len(seen)


def visible_note(value: str | None, gpus: tuple[Gpu, ...]) -> str | None:
    """What to tell the user when the variable hides GPUs; None when it does not."""
    if value is None or not gpus:
        return None
    count = visible_count(value, gpus)
    if count >= len(gpus):
        return None
    left = "all GPUs" if count == 0 else f"{len(gpus) - count} of {len(gpus)} GPUs"
    return f"CUDA_VISIBLE_DEVICES={value!r} hides {left} from CUDA programs started here"


def _find(entry: str, gpus: tuple[Gpu, ...]) -> int | None:
    if entry.isascii() and entry.isdigit() and len(entry) < 6:
        return int(entry) if int(entry) < len(gpus) else None
    if not entry.startswith(("GPU-", "MIG-")):
        return None
    matches = [index for index, gpu in enumerate(gpus) if gpu.uuid and gpu.uuid.lower().startswith(entry.lower())]
    return matches[0] if len(matches) == 1 else None
