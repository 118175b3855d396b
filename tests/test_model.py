"""The nouns: one JSON there and back, errors that name the place, verdicts where the worst wins."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuenv.errors import FormatError
from gpuenv.model import (
    Driver,
    EnvironmentList,
    Evidence,
    Finding,
    Gpu,
    LibraryCode,
    Machine,
    MachineReport,
    Needs,
    Noun,
    OperatingSystem,
    PackageList,
    Plan,
    Request,
    System,
    UnitGroup,
    Vendor,
    Verdict,
    from_builtins,
    from_json,
    json_schema,
    printable,
    to_json,
)
from gpuenv.versions import CodeImage, ComputeCapability, CudaVersion, DriverVersion, PtxIsa

LINUX = '"system": {"os": "linux", "arch": "x86_64"}'
SMALL = Machine(system=System(os=OperatingSystem.LINUX, arch="x86_64"))


def test_the_worst_verdict_wins_and_none_is_no_objection() -> None:
    """In the order works, degraded, unknown, fails: what is not known is worse than what runs in part."""
    order = [Verdict.WORKS, Verdict.DEGRADED, Verdict.UNKNOWN, Verdict.FAILS]
    assert [verdict.badness for verdict in order] == [0, 1, 2, 3]
    assert Verdict.worst([]) is Verdict.WORKS
    assert Verdict.worst([Verdict.WORKS, Verdict.UNKNOWN]) is Verdict.UNKNOWN
    assert Verdict.worst([Verdict.DEGRADED, Verdict.UNKNOWN]) is Verdict.UNKNOWN
    assert Verdict.worst([Verdict.UNKNOWN, Verdict.FAILS]) is Verdict.FAILS


def test_versions_stand_in_json_as_people_write_them() -> None:
    """A driver is `550.54.15` and an image `sm_90a`, no list of numbers."""
    driver = Driver(version=DriverVersion("550.54.15"), cuda=CudaVersion("12.4"))
    assert '"version":"550.54.15"' in to_json(driver, indent=0)
    group = UnitGroup(units=2, images=(CodeImage.parse("sm_90a"), CodeImage.parse("compute_90/ptx8.0")))
    assert to_json(group, indent=0) == '{"images":["sm_90a","compute_90/ptx8.0"],"units":2}'
    assert from_json(to_json(group), UnitGroup) == group


def test_not_known_and_absent_are_two_things_in_json_too() -> None:
    """`gpus` null means that nobody looked, an empty list that there are none."""
    assert from_json(f'{{{LINUX}, "gpus": null}}', Machine).gpus is None
    assert from_json(f"{{{LINUX}}}", Machine).gpus is None
    assert from_json(f'{{{LINUX}, "gpus": []}}', Machine).gpus == ()


def test_indentation_is_for_people() -> None:
    """On lines of their own, or all on one."""
    assert to_json(Request(specs=("numpy",))).startswith('{\n  "specs"')
    assert "\n" not in to_json(Request(specs=("numpy",)), indent=0)


@pytest.mark.parametrize(
    ("kind", "text", "place"),
    [
        (Machine, "", "Input data was truncated"),
        (Machine, "{", "truncated"),
        (Machine, "no JSON", "malformed"),
        (Machine, "[]", "Expected `object`, got `array`"),
        (Machine, "{}", "missing required field `system`"),
        (Machine, '{"system": {"os": "linux"}}', r"missing required field `arch` - at `\$\.system`"),
        (Machine, '{"system": {"os": "beos", "arch": "x86_64"}}', r"Invalid enum value 'beos' - at `\$\.system\.os`"),
        (
            Machine,
            f'{{{LINUX}, "driver": {{"version": "new"}}}}',
            r"`new` is not a driver version .* `\$\.driver\.version`",
        ),
        (Machine, f'{{{LINUX}, "driver": {{"cuda": 12.4}}}}', r"expected CudaVersion - at `\$\.driver\.cuda`"),
        (
            Machine,
            f'{{{LINUX}, "gpus": [{{"name": "T4"}}, {{}}]}}',
            r"missing required field `name` - at `\$\.gpus\[1\]`",
        ),
        (Machine, f'{{{LINUX}, "gpus": 8}}', r"at `\$\.gpus`"),
        (Machine, f'{{{LINUX}, "memory": 8}}', "unknown field `memory`"),
        (Machine, f'{{{LINUX}, "memory_bytes": "8"}}', r"at `\$\.memory_bytes`"),
        (Needs, '{"subject": "x", "jit": "llvm"}', r"at `\$\.jit`"),
        (UnitGroup, '{"units": 1, "images": ["sm_70", "sm_7"]}', r"`sm_7` does not name GPU code .* `\$\.images\[1\]`"),
        (Finding, '{"rule": "r", "verdict": "maybe", "subject": "s", "message": "m"}', r"at `\$\.verdict`"),
        (Plan, f'{{"request": {{"specs": ["numpy"]}}, "machine": {{{LINUX}}}}}', "missing required field `python`"),
        (Request, '{"specs": "numpy"}', r"at `\$\.specs`"),
        (Request, '{"specs": ["numpy"], "python": 3.11}', r"at `\$\.python`"),
    ],
)
def test_broken_json_is_a_format_error_that_names_the_place(kind: type, text: str, place: str) -> None:
    """Which value of which noun, so that a person finds it in the file."""
    with pytest.raises(FormatError, match=place) as caught:
        from_json(text, kind)
    assert caught.value.message.startswith(f"not a {kind.__name__} in JSON: ")


@pytest.mark.parametrize("text", [b"\xff\xfe", b'{"specs": ["\xff"]}', "[" * 100_000])
def test_bytes_that_are_no_text_and_bottomless_nesting_are_format_errors(text: bytes | str) -> None:
    """No other exception escapes."""
    with pytest.raises(FormatError):
        from_json(text, Request)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({}, "missing required field `specs`"),
        ({"specs": ["numpy", 1]}, r"at `\$\.specs\[1\]`"),
        ({"specs": [], "pyton": "3.11"}, "unknown field `pyton`"),
        (None, "Expected `object`, got `null`"),
        ([], "Expected `object`, got `array`"),
    ],
)
def test_broken_values_from_toml_name_the_place(value: object, place: str) -> None:
    """As TOML gives them: dicts and lists."""
    with pytest.raises(FormatError, match=place):
        from_builtins(value, Request)


def test_values_from_toml() -> None:
    """Versions are text there too."""
    gpu = from_builtins({"name": "Tesla T4", "compute_capability": "7.5", "vendor": "nvidia"}, Gpu)
    assert gpu == Gpu(name="Tesla T4", compute_capability=ComputeCapability("7.5"))
    with pytest.raises(FormatError, match=r"expected ComputeCapability - at `\$\.compute_capability`"):
        from_builtins({"name": "Tesla T4", "compute_capability": 7.5}, Gpu)


def test_what_has_no_form_in_json_is_refused() -> None:
    """A path or a set would come back as something else."""
    with pytest.raises(NotImplementedError, match="no JSON form for object"):
        to_json({"value": object()})


def test_nouns_are_frozen_and_have_named_fields_only() -> None:
    """What was written down does not change under one's hands."""
    evidence = Evidence(what="driver", value="550.54.15")
    with pytest.raises(AttributeError):
        evidence.value = "535.129.03"  # type: ignore[misc]
    with pytest.raises(TypeError):
        Evidence("driver", "550.54.15")  # type: ignore[call-arg]


def test_defaults_are_not_shared() -> None:
    """Each machine has a dict of its own."""
    assert SMALL.sources is not Machine(system=SMALL.system).sources


def test_a_machine_names_its_platform_and_its_nvidia_gpus() -> None:
    """As rows of the catalog do; GPUs of other makers are left out."""
    mixed = msgspec.structs.replace(SMALL, gpus=(Gpu(name="Tesla T4"), Gpu(vendor=Vendor.AMD, name="Radeon")))
    assert mixed.platform == "linux-x86_64"
    assert [gpu.name for gpu in mixed.nvidia_gpus] == ["Tesla T4"]
    assert SMALL.nvidia_gpus == ()


@pytest.mark.parametrize("kind", [Machine, Needs, Plan, MachineReport, Finding, PackageList, EnvironmentList])
def test_every_noun_that_is_written_has_a_schema(kind: type[Noun]) -> None:
    """JSON Schema, in which versions are text and unknown fields are refused."""
    schema = json_schema(kind)
    definition = schema["$defs"][kind.__name__]
    assert definition["type"] == "object"
    assert definition["additionalProperties"] is False


def test_the_schema_of_a_version_says_what_it_is() -> None:
    """Text, with the first line of the type's own words."""
    assert json_schema(PtxIsa) == {
        "type": "string",
        "description": "The version of the PTX language, such as 8.4. CUDA 12.4 is the first that knows 8.4.",
    }
    with pytest.raises(TypeError):
        json_schema(complex)


def test_a_library_survives_json_with_every_kind_of_image() -> None:
    """Suffixes and PTX ISAs included."""
    images: tuple[Any, ...] = tuple(
        map(CodeImage.parse, ("sm_75", "sm_90a", "sm_100f", "compute_90", "compute_120f/ptx8.8"))
    )
    code = LibraryCode(name="libmade.so", groups=(UnitGroup(images=images, units=3),), size_bytes=2**40)
    assert from_json(to_json(code), LibraryCode) == code


@given(st.text(st.characters(codec=None)))
def test_text_of_anybody_becomes_printable(text: str) -> None:
    """It can be printed and written, stays where it could be, and is escaped as Python escapes it where not."""
    shown = printable(text)
    assert shown.isprintable()
    assert shown.encode().decode() == shown
    assert printable(shown) == shown
    assert shown == "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
