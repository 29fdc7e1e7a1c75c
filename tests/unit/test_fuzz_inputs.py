"""The inputs of the fuzz targets, one by one: seeds, what fuzzing kept, and what once failed."""

from __future__ import annotations

import pytest

from tests.fuzz.target import CORPUS
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_declared_errors_comes_of_any_input(name: str) -> None:
    target = TARGETS[name]
    inputs = list(target.inputs())
    assert len(inputs) > 0
    for data in inputs:
        target.run(data)
        target.run(data[: len(data) // 2])


def test_no_folder_of_inputs_is_without_a_target() -> None:
    assert {folder.name for folder in CORPUS.iterdir() if folder.is_dir()} <= set(TARGETS)
