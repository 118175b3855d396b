"""Put the GPUs together: who lists them, what the other sources add, and whether CUDA can open them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import msgspec

from gpuenv.facts.gpus import find_gpu
from gpuenv.machines.answers import DriverAnswer, FailureKind, ListedGpu, MigInstance
from gpuenv.machines.asking import DriverAnswers
from gpuenv.machines.found import FoundGpu, Surroundings, normal_bus, read_capability, size
from gpuenv.model import DriverState, Gpu, OperatingSystem, Vendor

__all__ = ["AssembledGpus", "assemble_gpus"]

_MIG_NAME = re.compile(r" MIG (\S+)$")
_MAKERS = {Vendor.NVIDIA: "NVIDIA", Vendor.AMD: "AMD", Vendor.INTEL: "Intel", Vendor.APPLE: "Apple"}
TABLE = "table of GPUs"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssembledGpus:
    """The GPUs (None: nobody could look), with sources by field and notes for the user."""

    gpus: tuple[Gpu, ...] | None
    sources: dict[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A GPU on the way: `sources` holds who gave a value where it was not the one that lists the GPU."""

    gpu: FoundGpu
    instances: tuple[MigInstance, ...] = ()
    failure: str | None = None
    sources: tuple[tuple[str, str], ...] = ()


def assemble_gpus(around: Surroundings, answers: DriverAnswers, state: DriverState) -> AssembledGpus:
    """All GPUs: NVIDIA's by the best source that lists any, those of other makers by the bus."""
    bus = around.bus_gpus or ()
    nvidia_bus = tuple(gpu for gpu in bus if gpu.vendor is Vendor.NVIDIA)
    listing, source = _best_listing(around, answers)
    listing = _name_nameless(listing, around.kernel.gpus or nvidia_bus)
    others = _others(around, answers, nvidia_bus)
    rows = [_judge(_enrich(row, listing, others), answers) for row in listing]
    notes = [f"{row.gpu.name or 'a GPU'} ({row.gpu.bus or 'no address'}): {row.failure}" for row in rows if row.failure]
    if not rows:
        rows, source = _unlisted(around, answers, nvidia_bus, state), around.bus_source
        rows = [_enrich(row, rows, others) for row in rows]
    else:
        unlisted = [gpu for gpu in nvidia_bus if gpu.bus and not any(_is_same(gpu, row.gpu) for row in rows)]
        notes += _unlisted_notes(unlisted, around)
    rows += [_Row(gpu=gpu) for gpu in bus if gpu.vendor is not Vendor.NVIDIA]
    looked = around.bus_gpus is not None or answers.is_any_good or bool(rows)
    if not looked:
        return AssembledGpus(gpus=None, sources={})
    gpus, sources = _finish(rows)
    return AssembledGpus(gpus=gpus, sources={"gpus": source or around.bus_source} | sources, notes=tuple(notes))


def _best_listing(around: Surroundings, answers: DriverAnswers) -> tuple[list[_Row], str]:
    named = (("NVML", answers.nvml), ("libcuda", answers.cuda), ("nvidia-smi", answers.smi))
    for source, answer in named:
        if answer.gpus:
            rows = [_row(listed) for listed in answer.gpus]
            # An answer that broke off is filled up with what the others list.
            known = (*(_row(more) for more in answers.cuda.gpus), *(_Row(gpu=gpu) for gpu in around.kernel.gpus))
            for more in known if answer.failure else ():
                if not any(_is_same(more.gpu, row.gpu) for row in rows):
                    rows.append(more)
            return rows, source
        if source == "NVML" and answer.is_good and not answers.cuda.gpus:
            return [], "NVML"
    return [_Row(gpu=gpu) for gpu in around.kernel.gpus], "/proc/driver/nvidia/gpus" if around.kernel.gpus else ""


def _name_nameless(rows: list[_Row], known: tuple[FoundGpu, ...]) -> list[_Row]:
    """Rows with the GPUs that the driver counts but cannot speak of (lost ones) filled in: what is left over."""
    left = [gpu for gpu in known if not any(_is_same(gpu, row.gpu) for row in rows)]
    nameless = [row for row in rows if not (row.gpu.name or row.gpu.bus or row.gpu.uuid)]
    if len(left) != len(nameless):
        return rows
    return [replace(row, gpu=left.pop(0)) if row in nameless else row for row in rows]


def _row(listed: ListedGpu) -> _Row:
    name = (listed.name or "").strip() or None
    mig = _MIG_NAME.search(name) if name else None
    enabled_mig = "enabled" if listed.mig_enabled else None
    gpu = FoundGpu(
        name=name,
        bus=normal_bus(listed.bus),
        device_id=listed.device_id or None,
        uuid=listed.uuid or None,
        capability=read_capability(listed.capability),
        memory_bytes=size(listed.memory_bytes),
        mig=mig[1] if mig else enabled_mig,
    )
    return _Row(gpu=gpu, instances=listed.mig, failure=listed.failure.text if listed.failure else None)


def _others(
    around: Surroundings, answers: DriverAnswers, nvidia_bus: tuple[FoundGpu, ...]
) -> tuple[tuple[str, tuple[FoundGpu, ...]], ...]:
    """The same GPUs as each further source shows them, best first."""

    def found(answer: DriverAnswer) -> tuple[FoundGpu, ...]:
        return tuple(_row(listed).gpu for listed in answer.gpus)

    return (
        ("libcuda", found(answers.cuda)),
        ("nvidia-smi", found(answers.smi)),
        ("/proc/driver/nvidia/gpus", around.kernel.gpus),
        (around.bus_source, nvidia_bus),
    )


def _enrich(row: _Row, listing: list[_Row], others: Iterable[tuple[str, tuple[FoundGpu, ...]]]) -> _Row:
    """The row with its gaps filled by the other sources."""
    gpu, sources = row.gpu, list(row.sources)
    for source, candidates in others:
        twin = next((other for other in candidates if _is_same(other, gpu)), None)
        if twin is None and len(listing) == len(candidates) == 1 and not (gpu.bus and candidates[0].bus):
            twin = candidates[0]
        if twin is None:
            continue
        fields = ("name", "capability", "device_id", "bus", "memory_bytes", "uuid")
        values = {field: getattr(twin, field) for field in fields}
        filled = {field: value for field, value in values.items() if value is not None and getattr(gpu, field) is None}
        gpu = replace(gpu, **filled)
        sources += [(field, source) for field in filled]
    return replace(row, gpu=gpu, sources=tuple(sources))


def _is_same(one: FoundGpu, other: FoundGpu) -> bool:
    if one.bus and other.bus:
        return one.bus == other.bus
    return one.uuid is not None and one.uuid == other.uuid


def _judge(row: _Row, answers: DriverAnswers) -> _Row:
    """Whether CUDA can open the GPU: the driver lists it, so libcuda would have to list it as well."""
    cuda = answers.cuda
    in_mig_mode = any(listed.mig_enabled for listed in (*answers.nvml.gpus, *answers.smi.gpus))
    if row.failure or (row.gpu.mig == "enabled" and not row.instances):
        usable = False
    elif cuda.failure:
        # A question that could not be put tells nothing; nor does a Python that finds none of the driver's
        # libraries while `nvidia-smi` finds them.
        no_library = cuda.is_missing and answers.nvml.is_missing and answers.smi.is_good
        usable = cuda.failure.kind is FailureKind.START or no_library
    elif in_mig_mode or not all(listed.bus or listed.uuid for listed in cuda.gpus):
        usable = True
    else:
        opened = [_row(listed) for listed in cuda.gpus if listed.failure is None]
        usable = any(_is_same(other.gpu, row.gpu) for other in opened) or not (row.gpu.bus or row.gpu.uuid)
    return replace(row, gpu=replace(row.gpu, usable=usable))


def _unlisted(
    around: Surroundings, answers: DriverAnswers, nvidia_bus: tuple[FoundGpu, ...], state: DriverState
) -> list[_Row]:
    """What sits on the bus though no driver lists it. Where a driver is loaded, it does not serve this GPU, and in a
    container without the driver's libraries it is out of reach; elsewhere nobody tried.
    """
    out_of_reach = bool(around.kernel.is_loaded) and around.system.jetson is None and state is DriverState.MISSING
    refused = answers.is_any_good or (answers.cuda.failure is not None and state is DriverState.LOADED)
    return [_Row(gpu=replace(gpu, usable=not (out_of_reach or refused))) for gpu in nvidia_bus]


def _unlisted_notes(unlisted: list[FoundGpu], around: Surroundings) -> Iterator[str]:
    """What to say of NVIDIA GPUs on the bus that the driver does not list, while it lists others."""
    foreign = [gpu for gpu in unlisted if gpu.module and not gpu.module.startswith("nvidia")]
    for gpu in foreign:
        what = f"{gpu.name or 'an NVIDIA GPU'} ({gpu.bus or 'no address'})"
        yield f"{what} is bound to {gpu.module}, so NVIDIA's driver does not list it"
    rest = len(unlisted) - len(foreign)
    # A container sees the whole bus of its host, and is given only some of the GPUs.
    if rest and around.system.container is None and around.system.os is OperatingSystem.LINUX:
        yield f"{rest} more on the bus that the driver does not list: given to another job, not supported, or failed"


def _finish(rows: Iterable[_Row]) -> tuple[tuple[Gpu, ...], dict[str, str]]:
    gpus: list[Gpu] = []
    sources: dict[str, str] = {}
    for row in rows:
        for gpu, given in _gpus_of(row):
            sources |= {f"gpus[{len(gpus)}].{field}": source for field, source in given.items()}
            gpus.append(gpu)
    return tuple(gpus), sources


def _gpus_of(row: _Row) -> Iterator[tuple[Gpu, dict[str, str]]]:
    """The board, or in its place the MIG devices on it, since CUDA can use nothing else then."""
    found = row.gpu
    name = found.name or f"{_MAKERS.get(found.vendor, 'unknown')} GPU" + (
        f" {found.device_id}" if found.device_id else ""
    )
    model = find_gpu(name) if found.vendor is Vendor.NVIDIA else None
    given = {"compute_capability" if field == "capability" else field: source for field, source in row.sources}
    given = {
        field: source for field, source in given.items() if field in {"compute_capability", "memory_bytes", "name"}
    }
    if found.capability is None and model is not None:
        given["compute_capability"] = TABLE
    board = Gpu(
        vendor=found.vendor,
        name=name,
        compute_capability=found.capability or (model.capability if model else None),
        memory_bytes=found.memory_bytes,
        board=model.board if model else None,
        pci_id=found.device_id,
        uuid=found.uuid,
        mig=found.mig,
        usable=found.usable,
    )
    if not row.instances:
        yield board, given
    for instance in row.instances:
        yield _instance(board, instance), given


def _instance(board: Gpu, instance: MigInstance) -> Gpu:
    return msgspec.structs.replace(
        board,
        name=f"{board.name} MIG {instance.profile}" if instance.profile else f"{board.name} MIG",
        memory_bytes=size(instance.memory_bytes),
        uuid=instance.uuid,
        mig=instance.profile or "enabled",
    )
