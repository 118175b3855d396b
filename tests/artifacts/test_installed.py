"""Environments on disk: what is found in them, and what of it is read."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.made_environments import CODE, PLAIN, install, install_conda, make_venv, write_files
from gpuenv.artifacts.cache import ReadingCache
from gpuenv.artifacts.distributions import Distribution, DistributionKind
from gpuenv.artifacts.installed import find_distributions, is_environment, read_environment, read_installed
from gpuenv.artifacts.listed_files import Boundary, choose_files
from gpuenv.errors import RequestError
from gpuenv.model import Reading


def by_name(place: Path) -> dict[str, Distribution]:
    """What is found in an environment."""
    return {one.name: one for one in find_distributions(place).distributions}


def read(place: Path, name: str) -> Reading:
    """The reading of one distribution."""
    return read_installed(by_name(place)[name])


def paths(reading: Reading) -> list[str]:
    """The native files that were read."""
    return [file.path for file in reading.files]


def test_a_distribution_of_a_venv_is_read_by_its_record(tmp_path: Path) -> None:
    """Native files, requirements and tags come from RECORD, METADATA and WHEEL; the description is no field."""
    library = make_venv(tmp_path)
    files = {"kern/__init__.py": b"", "kern/_c.so": CODE, "kern.libs/libx-12.so.1": PLAIN, "kern/data.bin": CODE}
    tags = ("cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-manylinux2014_x86_64")
    install(library, "kern", "1.2", files, requires=("numpy>=1.20", 'torch; extra == "gpu"'), tags=tags)
    reading = read(tmp_path, "kern")
    assert (reading.artifact.name, reading.artifact.version) == ("kern", "1.2")
    assert reading.artifact.location == str(tmp_path)
    assert reading.artifact.platforms == ("linux-x86_64",)
    assert str(reading.artifact.glibc) == "2.17"
    assert reading.requires == ("numpy>=1.20", 'torch; extra == "gpu"')
    assert paths(reading) == ["kern.libs/libx-12.so.1", "kern/_c.so"]
    code = reading.files[1].code
    assert code is not None
    assert [str(image) for group in code.groups for image in group.images] == ["sm_80", "compute_90/ptx8.4"]
    assert reading.files[1].needed == ("libcudart.so.12",)
    assert reading.members == 5
    assert (reading.problems, reading.complete) == ((), True)


def test_a_real_venv_with_an_unpacked_wheel_is_found(tmp_path: Path) -> None:
    """What `python -m venv` makes is recognised while it is empty, and what is in it afterwards is found."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    assert is_environment(tmp_path / "env")
    assert find_distributions(tmp_path / "env").distributions == ()
    library = next((tmp_path / "env").glob("[lL]ib/**/site-packages"))
    install(library, "one", "1", {"one.py": b""})
    assert [one.version for one in find_distributions(tmp_path / "env").distributions] == ["1"]


@pytest.mark.parametrize(
    "layout", ["lib/python3.12/site-packages", "lib64/python3.9/site-packages", "Lib/site-packages"]
)
def test_every_layout_of_a_prefix_is_known(tmp_path: Path, layout: str) -> None:
    """POSIX with lib and lib64, and Windows; from the prefix and from the library itself the same is found."""
    library = tmp_path / layout
    library.mkdir(parents=True)
    install(library, "kern", "1", {"kern/_c.so": CODE})
    from_prefix, from_library = find_distributions(tmp_path), find_distributions(library)
    assert from_prefix.distributions == from_library.distributions
    assert from_prefix.prefix == from_library.prefix == tmp_path
    assert paths(read(tmp_path, "kern")) == ["kern/_c.so"]


def test_lib64_that_is_a_link_counts_once(tmp_path: Path) -> None:
    """Where lib64 leads to lib, each distribution is found once and is not called installed twice."""
    install(make_venv(tmp_path), "kern", "1", {"kern/_c.so": CODE})
    (tmp_path / "lib64").symlink_to("lib")
    found = find_distributions(tmp_path)
    assert (len(found.distributions), found.problems) == (1, ())


def test_a_target_directory_is_an_environment_of_its_own(tmp_path: Path) -> None:
    """What `pip install --target` fills has no layout around it; its scripts lie in RECORD's `../../bin`."""
    target = tmp_path / "deep" / "target"
    install(target, "kern", "1", {"kern/_c.so": CODE}, record="kern/_c.so,,\n../../bin/kern-run,,\n")
    assert find_distributions(target).prefix == target
    assert read(target, "kern").problems == ()


@pytest.mark.parametrize("prefix", ["with space", "übung", "日本"])
def test_paths_with_spaces_and_other_letters(tmp_path: Path, prefix: str) -> None:
    """Such prefixes are read like any other, through a link as well."""
    install(make_venv(tmp_path / prefix), "kern", "1", {f"{prefix}/_c.so": CODE})
    assert paths(read(tmp_path / prefix, "kern")) == [f"{prefix}/_c.so"]
    (tmp_path / "link").symlink_to(prefix)
    assert paths(read(tmp_path / "link", "kern")) == [f"{prefix}/_c.so"]


@pytest.mark.parametrize("what", ["missing", "file", "empty", "conda-meta without records"])
def test_a_place_without_environment_is_refused(tmp_path: Path, what: str) -> None:
    """The error names the place, what was looked for, and what to do."""
    place = tmp_path / "place"
    if what == "file":
        place.write_text("x")
    elif what != "missing":
        (place / "conda-meta").mkdir(parents=True)
        (place / "conda-meta" / "history").write_text("")
    with pytest.raises(RequestError) as caught:
        find_distributions(place)
    assert str(place) in caught.value.message
    if what not in {"missing", "file"}:
        assert any("site-packages" in reason for reason in caught.value.reasons)
        assert caught.value.hints
        assert not is_environment(place)


def test_remains_are_passed_over_and_broken_metadata_is_told(tmp_path: Path) -> None:
    """Remains such as `~orch` and a dist-info without METADATA are nothing; metadata without a name is a problem."""
    library = make_venv(tmp_path)
    install(library, "kern", "1", {"kern.py": b""})
    install(library, "~orch", "1", {})
    (library / "gone-1.dist-info").mkdir()
    write_files(library, {"bad-1.dist-info/METADATA": b"Version: 1\n\nName: bad\n", "a.pth": b"/elsewhere\n"})
    found = find_distributions(tmp_path)
    assert [one.name for one in found.distributions] == ["kern"]
    assert len(found.problems) == 1
    assert "bad-1.dist-info" in found.problems[0]


def test_two_versions_of_one_name_are_told_and_the_last_is_read(tmp_path: Path) -> None:
    """Of two dist-infos the one that was installed last counts, and the problem names both versions."""
    library = make_venv(tmp_path)
    new = install(library, "Kern.Pack", "2", {"kern.py": b"2"})
    old = install(library, "kern-pack", "1", {"kern.py": b"1"})
    os.utime(old, (1, 1))
    os.utime(new, (2, 2))
    found = find_distributions(tmp_path)
    assert [one.version for one in found.distributions] == ["2"]
    assert "1, 2" in found.problems[0]
    assert "kern-pack" in found.problems[0]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("../../../../secret.so,,", "lies outside"),
        ("{outside}/secret.so,,", "lies outside"),
        ("linked/secret.so,,", "lies outside"),
        ("link.so,,", "lies outside"),
        ("gone.so,,", "should be there and is not"),
        ('"kern/broken.so,,', "1 lines of its RECORD"),
        ("kern/x.so,,,,", "1 lines of its RECORD"),
    ],
)
def test_a_record_that_lies_harms_only_itself(tmp_path: Path, line: str, told: str) -> None:
    """Nothing outside of the environment is read, by path or by link; the other lines count, and a problem tells."""
    outside = tmp_path / "outside"
    write_files(outside, {"secret.so": CODE})
    write_files(tmp_path / "env" / "..", {"secret.so": CODE})
    library = make_venv(tmp_path / "env")
    (library / "linked").symlink_to(outside)
    (library / "link.so").symlink_to(outside / "secret.so")
    record = f"{line.format(outside=outside)}\nkern/_c.so,sha256=x,1\n"
    install(library, "kern", "1", {"kern/_c.so": CODE}, record=record)
    reading = read(tmp_path / "env", "kern")
    assert paths(reading) == ["kern/_c.so"]
    assert len(reading.problems) == 1
    assert told in reading.problems[0]


def test_quoted_and_windows_paths_in_a_record(tmp_path: Path) -> None:
    """A name with a comma stands in quotes; old installers wrote back slashes."""
    files = {"kern/a,b.so": CODE, "kern/c.so": CODE}
    record = '"kern/a,b.so",sha256=x,10\r\nkern\\c.so,sha256=x,10\r\n'
    install(make_venv(tmp_path), "kern", "1", files, record=record)
    assert paths(read(tmp_path, "kern")) == ["kern/a,b.so", "kern/c.so"]


def test_programs_are_read_where_they_are_in_bin(tmp_path: Path) -> None:
    """A program without an extension is read by its mode, also in the prefix's `bin`; scripts and data are not."""
    library = make_venv(tmp_path)
    big = PLAIN.ljust(8192, b"\0")
    write_files(tmp_path / "bin", {"tool": big, "data": big})
    write_files(library, {"kern/bin/ptxas": big})
    (tmp_path / "bin" / "tool").chmod(0o755)
    (library / "kern" / "bin" / "ptxas").chmod(0o755)
    record = "../../../bin/tool,,\n../../../bin/data,,\nkern/bin/ptxas,,\n"
    install(library, "kern", "1", {}, record=record)
    assert paths(read(tmp_path, "kern")) == ["bin/tool", "kern/bin/ptxas"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_pipes_and_directories_in_place_of_files_do_not_stop_it(tmp_path: Path) -> None:
    """A pipe named like a library or METADATA is not opened, since nobody may ever write to it."""
    library = make_venv(tmp_path)
    info = install(library, "kern", "1", {"kern/_c.so": CODE}, record="kern/_c.so,,\npipe.so,,\nkern.so,,\n")
    os.mkfifo(library / "pipe.so")
    (library / "kern.so").mkdir()
    (library / "piped-1.dist-info").mkdir()
    os.mkfifo(library / "piped-1.dist-info" / "METADATA")
    (info / "WHEEL").unlink()
    os.mkfifo(info / "WHEEL")
    assert paths(read(tmp_path, "kern")) == ["kern/_c.so"]
    assert "piped-1.dist-info" in find_distributions(tmp_path).problems[0]


def test_broken_native_files_come_with_their_problem(tmp_path: Path) -> None:
    """A truncated library is listed with what is wrong; a text that is called `.so` is no native file."""
    files = {"kern/cut.so": CODE[: len(CODE) // 2], "kern/script.so": b"INPUT(libx.so)", "kern/zero.so": b""}
    install(make_venv(tmp_path), "kern", "1", files)
    reading = read(tmp_path, "kern")
    assert paths(reading) == ["kern/cut.so"]
    assert reading.files[0].problem


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="nothing is closed to this user")
def test_what_may_not_be_read_is_a_problem(tmp_path: Path) -> None:
    """A library directory without permission is told; the rest is found."""
    library = make_venv(tmp_path)
    install(library, "kern", "1", {"kern/_c.so": CODE})
    (library / "kern" / "_c.so").chmod(0)
    assert read(tmp_path, "kern").files[0].problem
    library.chmod(0)
    try:
        assert "cannot read" in find_distributions(tmp_path).problems[0]
    finally:
        library.chmod(0o755)


def test_an_editable_install_says_so_and_its_libraries_are_read(tmp_path: Path) -> None:
    """Its direct_url.json names the sources (PEP 660), whose libraries are read, those of a build or a venv are not."""
    source = tmp_path / "my src"
    write_files(source, {"kern/_c.so": CODE, "build/lib/_c.so": CODE, "env/pyvenv.cfg": b"", "env/x.so": CODE})
    url = source.as_uri()
    told = f'{{"url": "{url}", "dir_info": {{"editable": true}}}}'.encode()
    install(make_venv(tmp_path / "env"), "kern", "1", {"kern.pth": b""}, extra={"direct_url.json": told})
    reading = read(tmp_path / "env", "kern")
    assert by_name(tmp_path / "env")["kern"].source == source
    assert paths(reading) == ["kern/_c.so"]
    assert "editable" in reading.problems[0]
    assert str(source) in reading.problems[0]


def test_an_egg_link_leads_to_the_sources(tmp_path: Path) -> None:
    """What `setup.py develop` left: a file with the directory of the sources, in which the metadata is."""
    source = tmp_path / "src"
    write_files(source, {"my_kern.egg-info/PKG-INFO": b"Name: my-kern\nVersion: 3\n", "my_kern/_c.so": CODE})
    write_files(make_venv(tmp_path / "env"), {"my-kern.egg-link": f"{source}\n.".encode()})
    assert by_name(tmp_path / "env")["my-kern"].version == "3"
    assert paths(read(tmp_path / "env", "my-kern")) == ["my_kern/_c.so"]


def test_eggs_of_every_form(tmp_path: Path) -> None:
    """egg-info as a directory with a list, without one, as a file, and an egg; a zipped egg is a problem."""
    told = b"Metadata-Version: 1.0\nName: %s\nVersion: 1\n"
    files = {
        "listed-1.egg-info/PKG-INFO": told % b"listed",
        "listed-1.egg-info/installed-files.txt": b"../listed/_c.so\nPKG-INFO\n",
        "listed-1.egg-info/requires.txt": b"numpy>=1\n\n[gpu:python_version < '3.9']\ncupy\n",
        "listed/_c.so": CODE,
        "listed/unlisted.so": CODE,
        "guessed-1.egg-info/PKG-INFO": told % b"guessed",
        "guessed-1.egg-info/top_level.txt": b"other_name\nsingle\n",
        "other_name/sub/_c.so": CODE,
        "single.cpython-311.so": CODE,
        "single-1.egg-info": told % b"only-a-file",
        "only_a_file/_c.so": CODE,
        "whole-1.egg/EGG-INFO/PKG-INFO": told % b"whole",
        "whole-1.egg/whole/_c.so": CODE,
        "zipped-1.egg": b"PK",
    }
    write_files(make_venv(tmp_path), files)
    assert paths(read(tmp_path, "listed")) == ["listed/_c.so"]
    assert read(tmp_path, "listed").requires == ("numpy>=1", """cupy; (extra == "gpu") and (python_version < '3.9')""")
    assert paths(read(tmp_path, "guessed")) == ["other_name/sub/_c.so", "single.cpython-311.so"]
    assert "no list of its files" in read(tmp_path, "guessed").problems[0]
    assert paths(read(tmp_path, "only-a-file")) == ["only_a_file/_c.so"]
    assert paths(read(tmp_path, "whole")) == ["whole/_c.so"]
    assert any("zipped-1.egg" in problem for problem in find_distributions(tmp_path).problems)


def test_a_conda_prefix_lists_packages_and_what_pip_put_beside(tmp_path: Path) -> None:
    """conda-meta comes first; Python metadata that a package owns is that package, other metadata is listed too."""
    library = "lib/python3.11/site-packages"
    owned = {f"{library}/numpy-2.0.dist-info/METADATA": b"Name: numpy\nVersion: 2.0\n", f"{library}/numpy/_c.so": PLAIN}
    depends = ["python_abi 3.11.* *_cp311", "__glibc >=2.17", "libblas >=3"]
    install_conda(tmp_path, "numpy", "2.0", "py311_0", owned, depends=depends, constrains=["numpy-base <0a0"])
    cuda = {"lib/libfast.so.1.2": CODE, "bin/fast": PLAIN.ljust(8192, b"\0")}
    install_conda(tmp_path, "fast", "1.2", "cuda12_0", cuda)
    (tmp_path / "bin" / "fast").chmod(0o755)
    install(tmp_path / library, "kern", "1", {"kern/_c.so": CODE})
    found = find_distributions(tmp_path)
    assert found.is_conda
    assert {one.name: one.kind for one in found.distributions} == {
        "numpy": DistributionKind.CONDA,
        "fast": DistributionKind.CONDA,
        "kern": DistributionKind.DIST_INFO,
    }
    numpy, fast = read(tmp_path, "numpy"), read(tmp_path, "fast")
    assert (numpy.artifact.build, numpy.artifact.platforms, numpy.artifact.pythons) == (
        "py311_0",
        ("linux-x86_64",),
        ("3.11",),
    )
    assert str(numpy.artifact.glibc) == "2.17"
    assert (numpy.requires, numpy.constrains) == (tuple(depends), ("numpy-base <0a0",))
    assert paths(numpy) == [f"{library}/numpy/_c.so"]
    assert paths(fast) == ["bin/fast", "lib/libfast.so.1.2"]
    assert found.problems == ()


def test_links_within_a_conda_prefix_are_not_read_again(tmp_path: Path) -> None:
    """`libx.so` and `libx.so.1` that lead to `libx.so.1.2` are one library, not three."""
    links = {"lib/libx.so.1": "libx.so.1.2"}
    install_conda(tmp_path, "x", "1.2", "0", {"lib/libx.so.1.2": CODE}, links=links)
    install_conda(tmp_path, "x-dev", "1.2", "0", {}, links={"lib/libx.so": "libx.so.1"})
    assert paths(read(tmp_path, "x")) == ["lib/libx.so.1.2"]
    assert (paths(read(tmp_path, "x-dev")), read(tmp_path, "x-dev").problems) == ([], ())


def test_pip_over_conda_is_told_and_broken_records_are_passed_over(tmp_path: Path) -> None:
    """One name from both, and a record that is no JSON, are problems of the environment; the rest is found."""
    install_conda(tmp_path, "kern", "1", "0", {"lib/x.so": PLAIN})
    install(tmp_path / "lib/python3.11/site-packages", "kern", "2", {"kern/_c.so": CODE})
    (tmp_path / "conda-meta" / "bad-1-0.json").write_text('{"name": "bad"')
    (tmp_path / "conda-meta" / "deep-1-0.json").write_text("[" * 100_000)
    found = find_distributions(tmp_path)
    assert [(one.name, one.version) for one in found.distributions] == [("kern", "1"), ("kern", "2")]
    assert len(found.problems) == 3
    assert "1 as a conda package and 2 from pip" in found.problems[2]


def test_imports_of_a_distribution_without_libraries_are_read(tmp_path: Path) -> None:
    """Pure Python is looked at for the GPU packages that it imports; beside native files sources are not looked at."""
    library = make_venv(tmp_path)
    install(library, "thin", "1", {"thin/__init__.py": b"import torch\n"})
    install(library, "thick", "1", {"thick/__init__.py": b"import torch\n", "thick/_c.so": CODE})
    assert read(tmp_path, "thin").imports == {"torch": "thin/__init__.py"}
    assert read(tmp_path, "thick").imports == {}


def test_a_cached_reading_ends_when_a_file_changes(tmp_path: Path) -> None:
    """An unchanged environment is read from the cache; another library, RECORD or a missing file is read anew."""
    library = make_venv(tmp_path / "env")
    files = {"kern/_c.so": CODE, "kern/other.so": PLAIN}
    install(library, "kern", "1", files, record="kern/_c.so,,\nkern/other.so,,\nkern/late.so,,\n")
    cache = ReadingCache(tmp_path / "cache")
    found = find_distributions(tmp_path / "env").distributions
    first = read_environment(found, cache=cache)
    # Only the cache can know the libraries when they cannot be read any more but look the same.
    place = library / "kern" / "_c.so"
    status = place.stat()
    place.write_bytes(bytes(len(CODE)))
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert read_environment(found, cache=cache) == first
    place.write_bytes(CODE + b"\0")
    assert [file.size_bytes for file in read_installed(found[0], cache=cache).files] == [len(CODE) + 1, len(PLAIN)]
    write_files(library, {"kern/late.so": PLAIN})
    assert len(read_installed(found[0], cache=cache).files) == 3
    (library / "kern-1.dist-info" / "RECORD").write_text("kern/_c.so,,\n")
    assert paths(read_installed(found[0], cache=cache)) == ["kern/_c.so"]


def test_nothing_in_the_environment_is_run(tmp_path: Path) -> None:
    """Neither its Python, nor a `.pth` file, nor a module of it is started."""
    library = make_venv(tmp_path)
    mark = tmp_path / "was-run"
    script = f"#!/bin/sh\ntouch '{mark}'\n".encode()
    write_files(tmp_path, {"bin/python": script, "bin/python3": script})
    for program in (tmp_path / "bin").iterdir():
        program.chmod(0o755)
    line = f"import pathlib; pathlib.Path({str(mark)!r}).touch()\n".encode()
    install(library, "kern", "1", {"kern/__init__.py": line, "run.pth": line, "kern/_c.so": CODE})
    read_environment(find_distributions(tmp_path).distributions)
    assert not mark.exists()


@given(lines=st.lists(st.text(max_size=30), max_size=6))
def test_no_list_of_files_leads_out_or_fails(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    """Whatever a list says, the result is files inside."""
    base = tmp_path_factory.getbasetemp() / "hostile"
    write_files(base, {"a.so": CODE})
    chosen = choose_files(
        [*((line, None) for line in lines), *((f"{line}/../a.so", 1) for line in lines)], Boundary(base, base)
    )
    assert all(place.resolve().is_relative_to(base.resolve()) for place, _ in chosen.native)
    assert chosen.members == 2 * len(lines)


def test_names_on_disk_are_written_out(tmp_path: Path) -> None:
    """No name of a file reaches a terminal that would obey it; others stay as they are."""
    record = "kern/red\x1b[31m.so,,\nkern/plain \u00e9.so,,\nkern/gone\x07.so,,\n"
    files = {"kern/red\x1b[31m.so": CODE, "kern/plain \u00e9.so": CODE}
    install(make_venv(tmp_path), "kern", "1", files, record=record)
    reading = read(tmp_path, "kern")
    assert paths(reading) == ["kern/plain \u00e9.so", r"kern/red\x1b[31m.so"]
    assert r"`gone\x07.so` should be there" in reading.problems[0]


def test_metadata_of_spaces_takes_no_time(tmp_path: Path) -> None:
    """A header of 60 kB of spaces names nothing, which is said at once."""
    library = make_venv(tmp_path)
    metadata = b"Name:" + b" " * 60_000 + b"\r\r\n"
    write_files(library, {"kern-1.dist-info/METADATA": metadata})
    began = time.monotonic()
    assert find_distributions(tmp_path).problems == (
        "cannot read `kern-1.dist-info`: its metadata names no distribution",
    )
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("name", ["/etc", ".", "./kern", "kern//", "../x"])
def test_a_list_of_packages_names_none_outside(tmp_path: Path, name: str) -> None:
    """`top_level.txt` may hold anything; what is no package below the library is passed over."""
    library = make_venv(tmp_path)
    write_files(library, {"kern-1.dist-info/METADATA": b"Name: kern\nVersion: 1\n", "kern/_c.so": CODE})
    write_files(library, {"kern-1.dist-info/top_level.txt": name.encode()})
    assert paths(read(tmp_path, "kern")) == []


def test_a_list_that_cannot_be_read_does_not_hide_the_files(tmp_path: Path) -> None:
    """Without its RECORD the files are looked for by the names of its packages."""
    library = make_venv(tmp_path)
    write_files(library, {"kern-1.dist-info/METADATA": b"Name: kern\nVersion: 1\n", "kern/_c.so": CODE})
    (library / "kern-1.dist-info" / "RECORD").mkdir()
    reading = read(tmp_path, "kern")
    assert paths(reading) == ["kern/_c.so"]
    assert reading.problems[0].startswith("cannot read its RECORD")
