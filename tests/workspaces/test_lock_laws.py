"""What holds for every lock and every project file, however damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuenv.errors import FormatError, GpuenvError, IntegrityError
from gpuenv.machines.written import parse_machine
from gpuenv.model import (
    GpuPolicy,
    IndexPolicy,
    Lock,
    LockedPlan,
    LockedWheel,
    LockSource,
    Plan,
    Request,
    Sources,
    from_json,
    lock_digest,
    to_json,
)
from gpuenv.workspaces.lock_file import parse_lock_text
from gpuenv.workspaces.manifest import read_manifest

WORDS = st.text(st.characters(codec="utf-8"), max_size=12)
REQUESTS = st.builds(
    Request,
    specs=st.lists(WORDS, max_size=3).map(tuple),
    python=st.none() | WORDS,
    gpu=st.sampled_from(GpuPolicy),
    allow_degraded=st.booleans(),
    indexes=st.sampled_from(IndexPolicy),
)
PLANS = st.builds(
    Plan,
    request=REQUESTS,
    machine=st.sampled_from(["gpu=V100,driver=535.129.03", "gpu=none,os=windows"]).map(parse_machine),
    python=WORDS,
    interpreter=st.none() | WORDS,
    wheels=st.lists(st.builds(LockedWheel, name=WORDS, version=WORDS, sha256=st.none() | WORDS), max_size=2).map(tuple),
    pylock=st.lists(st.text("ab =[]\"'", max_size=8).filter(str.strip), max_size=3).map(
        lambda lines: "".join(f"{line}\n" for line in lines)
    ),
)
LOCKS = st.builds(
    Lock,
    gpuenv=WORDS,
    created=WORDS,
    source=st.none() | st.builds(LockSource, file=WORDS, extras=st.lists(WORDS, max_size=2).map(tuple)),
    request=REQUESTS,
    machines=st.lists(WORDS, max_size=2).map(tuple),
    plans=st.lists(PLANS.map(LockedPlan.of), max_size=2).map(tuple),
    reasons=st.lists(WORDS, max_size=2).map(tuple),
).map(Lock.sealed)


@given(LOCKS)
def test_a_lock_is_read_as_it_was_written(lock: Lock) -> None:
    """Writing and reading give the same lock, laid out in any way."""
    assert parse_lock_text(to_json(lock), "a") == lock
    assert parse_lock_text(to_json(lock, indent=0), "a") == lock
    assert from_json(to_json(lock), Lock) == lock


@given(PLANS)
def test_a_plan_comes_out_of_a_lock_whole(plan: Plan) -> None:
    """All but its interpreter, which is of one computer."""
    whole = LockedPlan.of(plan).whole
    assert whole.interpreter is None
    assert to_json(whole) == to_json(LockedPlan.of(whole).whole)
    assert (whole.pylock, whole.wheels, whole.request) == (plan.pylock, plan.wheels, plan.request)


@given(LOCKS, st.data())
@settings(max_examples=200)
def test_a_changed_byte_is_found(lock: Lock, data: st.DataObject) -> None:
    """Any byte that is another makes an error, unless the lock still says the same (a blank that is a tab)."""
    content = bytearray(to_json(lock).encode())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    try:
        found = parse_lock_text(content.decode(), "a")
    except (UnicodeDecodeError, FormatError, IntegrityError):
        return
    assert found == lock


@given(st.binary(max_size=200) | st.text('{}[]",:0123456789eE.-truefalsnl ', max_size=60).map(str.encode))
def test_any_bytes_as_a_lock(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """They are a lock, or a FormatError or IntegrityError says why not."""
    from gpuenv.workspaces.lock_file import load_lock

    path = tmp_path_factory.getbasetemp() / "any-lock.json"
    path.write_bytes(content)
    with pytest.raises((FormatError, IntegrityError)):
        load_lock(path)


@given(
    st.binary(max_size=100)
    | st.lists(
        st.sampled_from(
            (
                *(
                    "packages = ['a']",
                    'packages = ["a", 1]',
                    "python = 3.11",
                    'python = "3.11"',
                    "machines = []",
                    "[gpu]",
                ),
                *("gpu = 'never'", "gpu = 1979-05-27", "allow-degraded = 1", "channels = [[]]", "x = 1", '"a b" = 2'),
            )
        ),
        max_size=5,
    ).map(lambda lines: "\n".join(lines).encode())
)
def test_any_bytes_as_a_project_file(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """They are a workspace or a FormatError."""
    from gpuenv.workspaces import read_workspace

    path = tmp_path_factory.getbasetemp() / "any-project.toml"
    path.write_bytes(content)
    try:
        workspace = read_workspace(path)
    except FormatError:
        return
    assert workspace.request.specs


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"a":' * 50_000, b'{"version": 1' + b"0" * 5000 + b"}", b'{"version": 1e999}', b""]
)
def test_deep_and_huge_locks_end_in_an_error(content: bytes) -> None:
    """Neither depth nor size of a number is a crash."""
    with pytest.raises(GpuenvError):
        parse_lock_text(content.decode(), "a")


def test_the_digest_leaves_new_fields_room() -> None:
    """It is of what stands in the file: a lock that lacks a field of today keeps its digest, and can be read."""
    lock = Lock(gpuenv="0", created="", request=Request(specs=("a",)), machines=(), plans=()).sealed()
    document = json.loads(to_json(lock))
    del document["reasons"]
    document["digest"] = lock_digest(document)
    assert parse_lock_text(json.dumps(document), "a").request == lock.request


def problem(text: str) -> FormatError:
    """What is wrong with a project file."""
    with pytest.raises(FormatError) as caught:
        read_manifest(text, Path("gpuenv.toml"))
    return caught.value


def test_a_project_file_says_where_it_is_wrong() -> None:
    """The line, what was expected, and for a key that is unknown the one that is near."""
    error = problem('packages = ["a"]\n\npython = 3.11\n')
    assert error.message == '`python` in `gpuenv.toml` must be text, such as `python = "3.11"`'
    assert error.reasons == ("`gpuenv.toml`, line 3: it is a number",)
    error = problem('packages = ["a"]\nmachine = ["here"]\n')
    assert error.hints == ("did you mean `machines`?",)
    assert error.reasons == ("`gpuenv.toml`, line 2",)
    assert problem('packages = ["a"]\nallow_degraded = true\n').hints == ("did you mean `allow-degraded`?",)
    error = problem('packages = ["a"]\ngpu = "always"\n')
    assert '`"require"` or `"prefer"` or `"never"`' in error.message
    assert error.reasons == ("`gpuenv.toml`, line 2: it is `always`",)
    assert "line 2" in problem('packages = ["a"]\nmachines = [,\n').reasons[0]
    assert "must be a list of packages" in problem("python = '3.11'\n").message
    assert problem('packages = "a"\n').reasons == ("`gpuenv.toml`, line 1: it is `a`",)


def test_what_a_project_file_can_say() -> None:
    """All keys, and a range of Pythons as a spec."""
    text = """
        packages = ["pytorch", "numpy<2"]
        python = ">=3.10,<3.13"
        machines = ["here", "nodes/b.json"]
        channels = ["conda-forge", "./channel", "conda-forge"]
        only = "conda"
        gpu = "require"
        allow-degraded = true
        index-policy = "pypi"
    """
    found = read_manifest(text, Path("gpuenv.toml"))
    assert found.request == Request(
        specs=("pytorch", "numpy<2", "python >=3.10,<3.13"),
        gpu=GpuPolicy.REQUIRE,
        allow_degraded=True,
        indexes=IndexPolicy.PYPI,
        channels=("conda-forge", "./channel"),
        sources=Sources.CONDA,
    )
    assert found.machines == ("here", "nodes/b.json")
