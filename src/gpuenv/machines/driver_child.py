"""Ask NVML or libcuda in a process of its own, since a broken driver can hang or crash whoever calls it.

Run as a script: `python -I -S driver_child.py nvml|libcuda PYNVML LIBRARY...`, where PYNVML is the path of
`pynvml.py` and each LIBRARY a file to try when the loader finds none by name. It imports nothing but the standard
library and pynvml. Each stage prints the whole answer so far as one line of JSON (`answers.DriverAnswer`), so that
after a crash the last line still holds what was learned.

Sources: NVML API Reference Guide; CUDA Driver API, modules Initialization, Version and Device Management.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from typing import Any

ON_WINDOWS = sys.platform == "win32"
Answer = dict[str, Any]
Say = Callable[[Answer], None]

MAJOR, MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""

NVML_MIG_ENABLED = 1
NVML_ERROR_LIBRARY_NOT_FOUND = 12


def ask_nvml(pynvml_path: str, libraries: list[str], say: Say) -> None:
    """NVML: driver version, CUDA version, every GPU with its MIG devices."""
    answer: Answer = {}
    if not ON_WINDOWS and not _load("libnvidia-ml.so.1", libraries, answer):
        return say(answer)
    nvml = _import_file("pynvml", pynvml_path)
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        answer |= {"library": _loaded_file("libnvidia-ml.so"), "failure": _nvml_failure(error)}
        return say(answer)
    answer["library"] = _loaded_file("libnvidia-ml.so") or _windows_file(nvml.nvmlLib)

    def ask(function: str, *arguments: Any) -> Any:
        with contextlib.suppress(nvml.NVMLError, UnicodeDecodeError):
            return getattr(nvml, function)(*arguments)

    answer |= {"version": ask("nvmlSystemGetDriverVersion"), "cuda": ask("nvmlSystemGetCudaDriverVersion_v2")}
    answer["gpus"] = []
    say(answer)
    for index in range(ask("nvmlDeviceGetCount") or 0):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            answer["gpus"].append(_nvml_gpu(handle, ask) | _refusal(nvml, handle))
        except nvml.NVMLError as error:
            answer["gpus"].append({"failure": _nvml_failure(error)})
        say(answer)
    return None


def _nvml_gpu(handle: Any, ask: Callable[..., Any]) -> Answer:
    pci = ask("nvmlDeviceGetPciInfo", handle)
    memory = ask("nvmlDeviceGetMemoryInfo", handle)
    capability = ask("nvmlDeviceGetCudaComputeCapability", handle)
    mode = ask("nvmlDeviceGetMigMode", handle)
    enabled = None if mode is None else mode[0] == NVML_MIG_ENABLED
    return {
        "name": ask("nvmlDeviceGetName", handle),
        "uuid": ask("nvmlDeviceGetUUID", handle),
        "bus": _text(pci.busId) if pci else None,
        "device_id": f"{pci.pciDeviceId & 0xFFFF:04x}:{pci.pciDeviceId >> 16:04x}" if pci else None,
        "capability": f"{capability[0]}.{capability[1]}" if capability else None,
        "memory_bytes": memory.total if memory else None,
        "mig_enabled": enabled,
        "mig": _mig_instances(handle, ask) if enabled else [],
    }


def _refusal(nvml: Any, handle: Any) -> Answer:
    """The error of a GPU that has a handle but no longer answers, such as one that fell off the bus."""
    try:
        nvml.nvmlDeviceGetName(handle)
    except nvml.NVMLError as error:
        return {"failure": _nvml_failure(error)}
    return {}


def _mig_instances(handle: Any, ask: Callable[..., Any]) -> list[Answer]:
    instances = []
    for index in range(ask("nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
        instance = ask("nvmlDeviceGetMigDeviceHandleByIndex", handle, index)
        if instance is None:
            continue
        memory = ask("nvmlDeviceGetMemoryInfo", instance)
        name = ask("nvmlDeviceGetName", instance) or ""
        profile = name.partition(" MIG ")[2].strip() or _profile(ask("nvmlDeviceGetAttributes_v2", instance))
        total = memory.total if memory else None
        instances.append({"uuid": ask("nvmlDeviceGetUUID", instance), "profile": profile, "memory_bytes": total})
    return instances


def _profile(attributes: Any) -> str | None:
    """The name NVIDIA gives an instance: slices and memory in whole GB (MIG User Guide, MIG Device Names)."""
    if attributes is None:
        return None
    compute, slices = attributes.computeInstanceSliceCount, attributes.gpuInstanceSliceCount
    part = f"{compute}c." if compute != slices else ""
    return f"{part}{slices}g.{max(1, round(attributes.memorySizeMB / 1024))}gb"


def _nvml_failure(error: Any) -> Answer:
    # On Windows pynvml looks for the library itself.
    kind = "missing" if error.value == NVML_ERROR_LIBRARY_NOT_FOUND and ON_WINDOWS else "error"
    return {"kind": kind, "code": error.value, "text": str(error)}


def ask_libcuda(libraries: list[str], say: Say) -> None:
    """The CUDA driver library: what it serves and which devices it can open."""
    answer: Answer = {}
    library = _load("nvcuda.dll" if ON_WINDOWS else "libcuda.so.1", libraries, answer)
    if library is None:
        return say(answer)
    answer["library"] = _loaded_file("libcuda.so") or _windows_file(library)
    answer["cuda"] = _cuda_int(library, "cuDriverGetVersion")
    say(answer)
    code = library.cuInit(0)
    if code:
        answer["failure"] = {"kind": "error", "code": code, "text": _cuda_error_name(library, code)}
        return say(answer)
    answer["gpus"] = []
    for ordinal in range(_cuda_int(library, "cuDeviceGetCount") or 0):
        answer["gpus"].append(_cuda_gpu(library, ordinal))
    return say(answer)


def _cuda_gpu(library: Any, ordinal: int) -> Answer:
    device = ctypes.c_int()
    code = library.cuDeviceGet(ctypes.byref(device), ordinal)
    if code:
        return {"failure": {"kind": "error", "code": code, "text": _cuda_error_name(library, code)}}
    major = _cuda_int(library, "cuDeviceGetAttribute", MAJOR, device)
    minor = _cuda_int(library, "cuDeviceGetAttribute", MINOR, device)
    size = ctypes.c_size_t()
    has_size = _cuda_ok(library, "cuDeviceTotalMem_v2", ctypes.byref(size), device)
    return {
        "name": _cuda_text(library, "cuDeviceGetName", device),
        "uuid": _cuda_uuid(library, device),
        "bus": _cuda_text(library, "cuDeviceGetPCIBusId", device),
        "capability": None if major is None or minor is None else f"{major}.{minor}",
        "memory_bytes": size.value if has_size else None,
    }


def _cuda_ok(library: Any, function: str, *arguments: Any) -> bool:
    """Whether the function exists and succeeds; what older drivers lack is no failure."""
    call = getattr(library, function, None)
    return call is not None and call(*arguments) == 0


def _cuda_int(library: Any, function: str, *arguments: Any) -> int | None:
    value = ctypes.c_int()
    return value.value if _cuda_ok(library, function, ctypes.byref(value), *arguments) else None


def _cuda_text(library: Any, function: str, device: Any) -> str | None:
    # cuDeviceGetName and cuDeviceGetPCIBusId share one form: buffer, its length, device.
    buffer = ctypes.create_string_buffer(256)
    return _text(buffer.value) if _cuda_ok(library, function, buffer, len(buffer), device) else None


def _cuda_uuid(library: Any, device: Any) -> str | None:
    raw = (ctypes.c_ubyte * 16)()
    if not _cuda_ok(library, "cuDeviceGetUuid", ctypes.byref(raw), device):
        return None
    digits = bytes(raw).hex()
    return "GPU-" + "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _cuda_error_name(library: Any, code: int) -> str:
    name = ctypes.c_char_p()
    known = _cuda_ok(library, "cuGetErrorName", code, ctypes.byref(name)) and name.value
    return _text(known) if known else f"error {code}"


def _load(name: str, libraries: list[str], answer: Answer) -> Any:
    """The library by name, as CUDA programs load it, else from one of the files; notes in `answer` how it went."""
    first = ""
    for attempt in (name, *libraries):
        try:
            loaded = ctypes.CDLL(attempt, mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            # The text about a file that exists tells more than the text about a name that was not found.
            first = str(error) if not first or attempt == libraries[0] else first
        else:
            answer["outside_loader_path"] = attempt != name
            return loaded
    answer["failure"] = {"kind": "load" if libraries else "missing", "text": first}
    return None


def _loaded_file(start: str) -> str | None:
    """The file from which a library of this name came into this process (Linux)."""
    with contextlib.suppress(OSError), open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:  # noqa: PTH123  (pathlib would double this script's start-up time)
        for line in maps:
            path = line.rstrip("\n").partition("/")[2]
            if path.rpartition("/")[2].startswith(start):
                return "/" + path
    return None


def _windows_file(library: Any) -> str | None:
    name: str | None = getattr(library, "_name", None)
    return name if ON_WINDOWS else None


def _import_file(name: str, path: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # pynvml looks itself up among the loaded modules.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def main(question: str, pynvml_path: str, *libraries: str) -> None:
    """Answer one question, then leave at once, since a driver may also crash while the process ends."""
    # A driver may print; what it prints must not end up between the lines of the answer.
    output = os.dup(1)
    os.dup2(2, 1)

    def say(answer: Answer) -> None:
        os.write(output, json.dumps(answer).encode() + b"\n")

    if question == "nvml":
        ask_nvml(pynvml_path, list(libraries), say)
    elif question == "libcuda":
        ask_libcuda(list(libraries), say)
    else:
        raise ValueError(f"no such question: {question}")
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
