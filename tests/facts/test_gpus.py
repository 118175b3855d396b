"""The table of GPUs holds together, and GPUs are found by what drivers print and by what people write."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuenv.facts.architectures import find_capability
from gpuenv.facts.gpus import (
    AmbiguousGpu,
    GpuModel,
    find_gpu,
    find_gpu_by_words,
    gpu_sources,
    load_gpus,
    nearest_gpus,
)

GIB = 1 << 30
ANY_MODEL = st.sampled_from(load_gpus())


def test_models_are_in_order_and_each_name_is_there_once() -> None:
    """Rows stand in order of compute capability and name, so a change of one row is a change of one line."""
    for before, after in pairwise(load_gpus()):
        assert (before.capability, before.name) < (after.capability, after.name)
    aliases = [alias for model in load_gpus() for alias in model.aliases]
    assert len(aliases) == len(set(aliases))


def test_every_model_has_a_known_architecture_and_sources() -> None:
    """The two tables say the same of a model, and each row says where it was read."""
    for model in load_gpus():
        row = find_capability(model.capability)
        assert row is not None
        assert row.architecture == model.architecture
        assert model.source
        assert set(model.source) <= set(gpu_sources())
        assert 2009 < model.year < 2030
        assert model.memory_bytes >= GIB
        assert not model.memory_variants_gib or model.memory_gib in model.memory_variants_gib


def test_each_pattern_matches_its_own_name_and_no_other() -> None:
    """436 patterns against 436 names."""
    patterns = [(re.compile(model.match), model.name) for model in load_gpus()]
    for model in load_gpus():
        assert [name for pattern, name in patterns if pattern.fullmatch(model.name)] == [model.name]


def test_every_printed_name_is_found_with_and_without_the_maker() -> None:
    """Drivers before branch 465 left out `NVIDIA`, and some tools change the case."""
    for model in load_gpus():
        assert find_gpu(model.name) is model
        assert find_gpu(f"NVIDIA {model.name.removeprefix('NVIDIA ')}") is model
        assert find_gpu(model.name.removeprefix("NVIDIA ")) is model
        folded = find_gpu(model.name.lower())
        assert folded is not None
        assert folded.capability == model.capability


def test_one_cuda_name_has_one_compute_capability() -> None:
    """`Orin` stands for several modules that are the same to CUDA."""
    names = {model.cuda_name for model in load_gpus() if model.cuda_name}
    assert names
    for name in names:
        found = find_gpu(name)
        assert found is not None
        assert {model.capability for model in load_gpus() if model.cuda_name == name} == {found.capability}


def test_aliases_find_their_row() -> None:
    """What a row says people call it finds the row, in any case and without spaces."""
    for model in load_gpus():
        for alias in model.aliases:
            assert find_gpu_by_words(alias.lower()) == model, alias
            assert find_gpu_by_words(alias.replace(" ", "")) == model, alias


@given(ANY_MODEL, st.data())
def test_a_written_name_finds_the_capability_whatever_its_spaces_and_case(model: GpuModel, data: st.DataObject) -> None:
    """The name of a model, written without its maker and with other separators, finds that capability."""
    separator = data.draw(st.sampled_from(["", " ", "-", "_"]))
    text = re.sub(r"[ -]+", separator, model.name.removeprefix("NVIDIA "))
    found = find_gpu_by_words(text.upper() if data.draw(st.booleans()) else text.lower())
    assert isinstance(found, GpuModel)
    assert found.capability == model.capability


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("V100", "Tesla V100-SXM2-16GB"),
        ("gpu=RTX4090", "NVIDIA GeForce RTX 4090"),
        ("gtx1080ti", "GeForce GTX 1080 Ti"),
        ("a100-80gb", "NVIDIA A100-SXM4-80GB"),
        ("h100 pcie", "NVIDIA H100 PCIe"),
        ("3090", "NVIDIA GeForce RTX 3090"),
        ("RTX 4090 mobile", "NVIDIA GeForce RTX 4090 Laptop GPU"),
        ("rtx4070tisuper", "NVIDIA GeForce RTX 4070 Ti SUPER"),
        ("RTX 2070 Super", "NVIDIA GeForce RTX 2070 SUPER"),
        ("RTX 6000 Ada", "NVIDIA RTX 6000 Ada Generation"),
        ("RTX 6000 Turing", "Quadro RTX 6000"),
        ("Quadro RTX 8000", "Quadro RTX 8000"),
        ("Titan V", "TITAN V"),
        ("K40", "Tesla K40m"),
        ("DGX Spark", "NVIDIA GB10"),
        ("AGX Orin", "Jetson AGX Orin 64GB"),
        ("Jetson Nano", "Jetson Nano"),
    ],
)
def test_what_people_write(text: str, name: str) -> None:
    """Short names find the usual board."""
    found = find_gpu_by_words(text)
    assert isinstance(found, GpuModel)
    assert found.name == name


@pytest.mark.parametrize("text", ["RTX 6000", "rtx4000", "Titan X", "titan", "5000"])
def test_words_for_boards_of_different_capability_are_ambiguous(text: str) -> None:
    """A guess between Turing and Ada would be wrong half the time, so all of them are named."""
    found = find_gpu_by_words(text)
    assert isinstance(found, AmbiguousGpu)
    assert len({model.capability for model in found.candidates}) == len(found.candidates) > 1
    for model in found.candidates:
        assert find_gpu_by_words(model.name) == model


@pytest.mark.parametrize(
    "text", ["", "  ", "nvidia", "RTX", "super", "80gb", "ti", "RTX 6090", "RX 7900 XTX", "Apple M4", "Arc A770", "gpu"]
)
def test_words_that_name_no_model_find_nothing(text: str) -> None:
    """A brand, a size or another maker's board is no NVIDIA model."""
    assert find_gpu_by_words(text) is None


def test_a_size_that_was_written_counts() -> None:
    """`RTX 3060 8GB` is the smaller board of that name, and a size never sold is no such board."""
    small, usual = find_gpu_by_words("RTX 3060 8GB"), find_gpu_by_words("RTX 3060")
    assert isinstance(small, GpuModel)
    assert isinstance(usual, GpuModel)
    assert small.memory_bytes == 8 * GIB < usual.memory_bytes
    assert small.memory_bytes in usual.memory_variants_bytes
    assert find_gpu_by_words("RTX 3060 48GB") is None


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "NVIDIA A100-SXM4-40GB"),
        ("NVIDIA A100-SXM4-40GB MIG 1c.3g.20gb", "NVIDIA A100-SXM4-40GB"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb+me", "NVIDIA H100 80GB HBM3"),
        ("GRID T4-8C", "Tesla T4"),
        ("NVIDIA A10-4Q", "NVIDIA A10"),
        ("GRID RTX6000-8Q", "Quadro RTX 6000"),
        ("NVIDIA RTX6000-Ada-48Q", "NVIDIA RTX 6000 Ada Generation"),
        ("NVIDIA A100-3-20C", "NVIDIA A100-SXM4-40GB"),
        ("GRID V100DX-32Q", "Tesla V100-SXM2-16GB"),
        ("NVIDIA Tesla V100-SXM2-16GB", "Tesla V100-SXM2-16GB"),
        ("GeForce RTX 2080 Ti", "NVIDIA GeForce RTX 2080 Ti"),
        ("NVIDIA GeForce RTX 3050Ti Laptop GPU", "NVIDIA GeForce RTX 3050 Ti Laptop GPU"),
        ("TU104GL [Tesla T4]", "Tesla T4"),
        ("Orin (nvgpu)", "Jetson AGX Orin 64GB"),
        ("NVIDIA Jetson AGX Orin Developer Kit", "Jetson AGX Orin 64GB"),
    ],
)
def test_what_drivers_print(device: str, name: str) -> None:
    """MIG devices, vGPUs, `lspci` and device trees add to the board's name."""
    found = find_gpu(device)
    assert found is not None
    assert found.name == name


def test_spelling_tells_laptop_super_from_desktop_super() -> None:
    """`RTX 2070 Super` is a laptop GPU, `RTX 2070 SUPER` a desktop board."""
    laptop, desktop = find_gpu("NVIDIA GeForce RTX 2070 Super"), find_gpu("NVIDIA GeForce RTX 2070 SUPER")
    assert laptop is not None
    assert desktop is not None
    assert (laptop.board, desktop.board) == ("laptop", "geforce")


@pytest.mark.parametrize("device", ["", "NVIDIA Graphics Device", "AMD Radeon RX 7900 XTX", "Apple M4", "[]", "\x00"])
def test_devices_that_are_not_known(device: str) -> None:
    """A name without a model is not guessed at."""
    assert find_gpu(device) is None


@given(st.text(max_size=60))
def test_any_text_has_an_answer(text: str) -> None:
    """No text breaks a look-up."""
    found = find_gpu(text)
    assert found is None or found.name in {model.name for model in load_gpus()}
    find_gpu_by_words(text)
    nearest_gpus(text)


def test_near_names_are_suggested() -> None:
    """A slip of the finger is answered with names that exist."""
    assert "NVIDIA GeForce RTX 4090" in nearest_gpus("RTX 4095")
    assert "Tesla V100" in nearest_gpus("V10")
    assert len(nearest_gpus("gtx 1085", count=2)) == 2
    for name in nearest_gpus("A1000") + nearest_gpus("V10"):
        assert find_gpu_by_words(name) is not None
