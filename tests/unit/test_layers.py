"""The dependency rule: a module imports only from lower layers, and only drivers touch the world."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

VOIP = Path(__file__).resolve().parents[2] / "voip"

LAYERS = [
    {"errors", "ip", "printable", "private"},
    {"dsp", "stats"},
    {"rtp", "codecs", "srtp"},
    {"media", "quality"},
    {"conversation"},
    {"rtcp", "sdp", "stun", "fec", "congestion", "jitter", "dtls"},
    {"formats"},
    {"sip", "session", "audio"},
    {"devices", "net"},
    {"engine", "garbage", "report"},
    {"conference"},
    {"calls"},
    {"environment", "web", "workers"},
    {"directory"},
    {"cli"},
    {"scripts", "udp_test", "udp_receiver"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
FIRST_DRIVER = RANK["net"]
MEDIA = {"audio", "session", "report", "engine", "rtcp", "fec", "jitter", "quality", "conversation", "conference"}
SIGNALLING = {"voip.sdp", "voip.sip", "voip.net"}
WORLD = {
    "asyncio",
    "datetime",
    "pyaudio",
    "queue",
    "secrets",
    "select",
    "selectors",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
}


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            named = {f"voip.{alias.name}" for alias in node.names}
            found |= named if node.module == "voip" else {str(node.module)}
    return found


def modules() -> list[Path]:
    return sorted(path for path in VOIP.rglob("*.py") if path.relative_to(VOIP).with_suffix("").parts[0] != "__init__")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(VOIP)))
def test_a_module_imports_only_from_lower_layers(path: Path) -> None:
    part = "scripts" if path.name == "__main__.py" else path.relative_to(VOIP).with_suffix("").parts[0]
    for name in imports(path):
        root, _, rest = name.partition(".")
        if name == "voip":
            continue  # the version
        if root == "voip":
            other = rest.split(".")[0]
            assert other == part or RANK[other] < RANK[part], f"{path} imports {name}"
        elif RANK[part] < FIRST_DRIVER:
            assert root not in WORLD, f"{path} imports {name}: only drivers may"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(VOIP)))
def test_media_never_knows_signalling(path: Path) -> None:
    """What plays, sends and reports sound gets a `NegotiatedMedia`, whoever has negotiated it."""
    if path.relative_to(VOIP).with_suffix("").parts[0] in MEDIA:
        assert not imports(path) & SIGNALLING
        assert not [name for name in imports(path) if name.startswith(tuple(f"{each}." for each in SIGNALLING))]


def test_files_stay_small_enough_to_read() -> None:
    long = {str(path): count for path in modules() if (count := len(path.read_text().splitlines())) > 600}
    assert not long


MAX_FLOORS = 11
"""Of a package that calls for order within: more than these to climb, and no one finds the way."""


def test_sip_has_few_floors() -> None:
    """The longest chain of imports among the modules of `voip.sip`, the package's own face included."""
    needs = {
        f"voip.sip.{path.stem}".removesuffix(".__init__"): {
            name for name in imports(path) if name == "voip.sip" or name.startswith("voip.sip.")
        }
        for path in (VOIP / "sip").glob("*.py")
    }

    def chain(module: str) -> list[str]:
        return [module, *max((chain(other) for other in needs[module]), key=len, default=[])]

    longest = max((chain(module) for module in needs), key=len)
    assert len(longest) <= MAX_FLOORS, " -> ".join(longest)


def test_the_event_loop_knows_no_protocol() -> None:
    """Whoever has sockets or timers registers with it: a web server would, and nothing in it would change."""
    own = {name for name in imports(VOIP / "net" / "loop.py") if name.partition(".")[0] == "voip"}
    assert own <= {"voip.errors", "voip.ip"}
