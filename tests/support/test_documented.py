"""Which lines of a page are commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import documented

PAGE = """# Title

    ./receiver.py     # waits

text with `./sender.py nobody`

    call ended by the other side
      peer   sip:anna@127.0.0.3

    ./sender.py --two-way \\
        192.168.1.20

    git clone x && cd x

```sh
$ ./sender.py a | cat
# nothing but words
./sender.py 'sip:b;transport=tcp'
```

| table |

```
microphone ---> sender.py
```
* a list

    microphone
      v
"""


def test_commands_are_taken_from_blocks_that_begin_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documented, "ROOT", tmp_path)
    (tmp_path / "page.md").write_text(PAGE)
    found = documented.commands(tmp_path / "page.md")
    assert [(command.line, command.text) for command in found] == [
        (3, "./receiver.py # waits"),
        (10, "./sender.py --two-way 192.168.1.20"),
        (13, "git clone x && cd x"),
        (16, "./sender.py a | cat"),
        (18, "./sender.py 'sip:b;transport=tcp'"),
    ]
    assert [command.script for command in found] == ["receiver", "sender", "", "sender", "sender"]
    assert found[0].words == ["./receiver.py"]


def test_a_block_of_output_or_a_picture_has_no_commands(tmp_path: Path) -> None:
    assert not documented.is_command("call ended by the other side")
    assert not documented.is_command("sender.py                    receiver.py")
    assert not documented.is_command("")
