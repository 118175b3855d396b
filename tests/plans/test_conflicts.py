"""What uv says of a conflict, in our words. The texts have the form of uv 0.13's, with made-up packages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuenv.errors import NoPlanError
from gpuenv.machines.written import parse_machine
from gpuenv.model import Request
from gpuenv.plans.conflicts import in_own_words, is_of_uv, naming_what_conda_brings
from gpuenv.plans.make import make_plan
from loopback_index import LoopbackIndex

PLACE = "Python 3.11 on linux-x86_64"
UVS = "`uv` finds no set of packages that fits together"


def told(*lines: str, typed: dict[str, str] | None = None) -> NoPlanError:
    """The conflict that uv tells in these lines, in our words."""
    return in_own_words(NoPlanError(UVS, reasons=lines), typed or {}, place=PLACE)


def test_two_that_pin_one_library_apart() -> None:
    """Both sides and what each asks of the third, whatever markers uv writes between name and version."""
    found = told(
        "error: No solution found when resolving dependencies",
        "cause: Because net[gpu]==2.21.0 depends on lib-cu12>=2.27.7,<3.0 and grid==2.10.0 depends on "
        "lib-cu12{platform_machine == 'x86_64' and sys_platform == 'linux'}==2.27.5, we can conclude that grid==2.10.0 "
        "and net[gpu]==2.21.0 are incompatible.",
        "And because you require grid==2.10.0 and net[gpu]==2.21.0, we can conclude that your requirements are "
        "unsatisfiable.",
        typed={"grid": "grid>=2"},
    )
    assert found.message == "`grid>=2` and `net` do not fit together"
    assert found.reasons == ("net 2.21.0 needs lib-cu12 >=2.27.7,<3.0", "grid 2.10.0 needs lib-cu12 2.27.5")
    assert "we can conclude" in found.details


def test_many_releases_are_told_by_the_oldest_and_the_newest() -> None:
    """Of a long derivation two lines stay, and a list in several lines is read as well."""
    found = told(
        "cause: Because all of:",
        "words>=4.56.0,<=4.56.2",
        "words>=4.57.1,<=5.9.0",
        "depend on tokens>=0.22.0,<=0.23.0 and words>=4.50.0rc1,<=4.51.3 depends on tokens>=0.21,<0.22, we can "
        "conclude that words>=4.50.0 depends on tokens>=0.21.",
        "And because you require words>=4.50 and tokens<0.15, we can conclude that your requirements cannot be met.",
    )
    assert found.message == "`words` and `tokens` do not fit together"
    assert found.reasons == (
        "words 4.50.0 to 4.51.3 needs tokens >=0.21,<0.22",
        "words 4.57.1 to 5.9.0 needs tokens >=0.22.0,<=0.23.0",
    )


def test_a_package_without_a_wheel_is_named_with_the_place() -> None:
    """Where only sources are left, the reason says for which Python and platform there is no wheel."""
    found = told(
        "cause: Because all versions of kernels have no usable wheels and you require kernels, we can conclude that "
        "your requirements are unsatisfiable.",
        "hint: Wheels are required for `kernels` because building from source is disabled",
    )
    assert found.message == "nothing satisfies `kernels`"
    assert found.reasons == (f"kernels has no wheel for {PLACE}, only sources or others",)


def test_a_release_that_there_is_not() -> None:
    """A version that no index has is said so."""
    found = told("cause: Because there is no version of plain==99 and you require plain==99, we can conclude that no.")
    assert found.reasons == ("there is no plain ==99",)


def test_another_error_stays_as_it_is() -> None:
    """A refusal of our own, and words of uv that are of another form, are handed on."""
    own = NoPlanError("nothing fits", reasons=("because",))
    assert in_own_words(own, {}, place=PLACE) is own
    strange = NoPlanError(UVS, reasons=("it is raining",))
    assert in_own_words(strange, {}, place=PLACE) is strange


@given(st.lists(st.text(alphabet="abc=<>1.,[]{} -\n", max_size=60), max_size=6))
def test_any_text_is_taken(lines: list[str]) -> None:
    """Whatever uv may say one day, there is an error with a message."""
    words = ("Because ", " depends on ", " and you require ", ", we can conclude that ", "all of: ")
    text = "".join(f"{line}{word}" for line, word in zip(lines, words * 2, strict=False))
    assert told(text).message


def test_long_texts_take_no_long_time() -> None:
    """Derivations of hundreds of steps are common; time grows in proportion."""
    step = (
        "And because a>=1.0,<=1.9 depends on b>=2.0 and a>=2.0 has no usable wheels, we can conclude that a depends. "
    )
    found = told(step * 3000 + "And because you require a and b<1, we can conclude that not.")
    assert found.message == "`a` and `b` do not fit together"


def test_a_real_conflict_is_in_words(own_index: LoopbackIndex) -> None:
    """The whole way: the real uv, a conflict of plain packages, and what was typed in the message."""
    own_index.add("first", "1.0", requires=["shared<2"])
    own_index.add("second", "1.0", requires=["shared>=2"])
    for version in ("1.0", "2.0"):
        own_index.add("shared", version)
    with pytest.raises(NoPlanError) as conflict:
        make_plan(Request(specs=("first>=1", "second"), python="3.11"), parse_machine("gpu=none"))
    assert not is_of_uv(conflict.value)
    assert conflict.value.message == "`first>=1` and `second` do not fit together"
    assert set(conflict.value.reasons) == {"first needs shared <2", "second needs shared >=2"}


OLD_HELPER = (
    "cause: Because only some-helper<4.12 is available and data>=2.10.0,<=2.11.10 depends on some-helper>=4.12, we can",
    "conclude that data>=2.10.0,<=2.11.10 cannot be used.",
    "Because only some-helper<4.14 is available and data>=2.12.2 depends on some-helper>=4.14, we can conclude that",
    "data>=2.12.2 cannot be used.",
    "And because data==2.12.1 has no usable wheels and you require data>=2.10, we can conclude that your requirements",
    "are unsatisfiable.",
)


def test_what_is_there_in_old_releases_only_is_the_reason() -> None:
    """Not one release among many that has no wheel."""
    found = told(*OLD_HELPER, typed={"data": "data>=2.10"})
    assert found.message == "nothing satisfies `data>=2.10`"
    assert found.reasons == (
        "data 2.10.0 to 2.11.10 needs some-helper >=4.12",
        "data from 2.12.2 on needs some-helper >=4.14",
    )


def test_what_conda_brings_is_named() -> None:
    """Where the release that excludes the others is a conda package's; others that conda brings have no part in it."""
    with pytest.raises(NoPlanError) as caught, naming_what_conda_brings({"some-helper": "4.5.0", "other": "1.0"}):
        raise NoPlanError(UVS, reasons=OLD_HELPER)
    found = in_own_words(caught.value, {"data": "data>=2.10"}, place=PLACE)
    assert len(found.hints) == 1
    assert found.hints[0].startswith("conda packages bring some-helper 4.5.0")
