"""What is installed: ranges that a test has seen both ends of, pins with hashes for CI, and known licences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LICENCES = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def requirements(name: str) -> list[Requirement]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def pinned() -> dict[str, list[Requirement]]:
    """The pins of the lock file by name: one, or one for each range of Python versions."""
    text = (ROOT / "tests" / "requirements.lock").read_text(encoding="utf-8")
    found: dict[str, list[Requirement]] = {}
    for line in re.findall(r"^(\w.*?) \\$", text, re.MULTILINE):
        requirement = Requirement(line)
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


@pytest.mark.parametrize("requirement", requirements("requirements.txt"), ids=lambda each: each.name)
def test_what_users_install_has_a_lower_and_an_upper_limit(requirement: Requirement) -> None:
    assert {specifier.operator for specifier in requirement.specifier} == {">=", "<"}


@pytest.mark.parametrize(
    "requirement",
    [*requirements("requirements.txt"), *requirements("tests/requirements.txt")],
    ids=lambda each: each.name,
)
def test_ci_installs_a_version_within_the_range(requirement: Requirement) -> None:
    versions = [str(pin.specifier).removeprefix("==") for pin in pinned()[canonicalize_name(requirement.name)]]
    assert versions
    assert all(requirement.specifier.contains(version) for version in versions)


def test_every_pin_has_a_hash() -> None:
    text = (ROOT / "tests" / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]
    assert len(entries) == sum(map(len, pinned().values()))
    assert all(re.search(r"^    --hash=sha256:[0-9a-f]{64}\b", entry, re.MULTILINE) for entry in entries)


@pytest.mark.parametrize("requirement", requirements("requirements.txt"), ids=lambda each: each.name)
def test_the_licence_of_what_users_install_is_listed(requirement: Requirement) -> None:
    assert re.search(rf"^\| {re.escape(requirement.name)} \| .+ \|$", LICENCES, re.MULTILINE)
