"""NegotiatedMedia for tests, by the names of its own fields and those of its AudioFormat alike."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from voip.media import AudioFormat, NegotiatedMedia

_AUDIO = {field.name for field in fields(AudioFormat)}


def negotiated(**values: Any) -> NegotiatedMedia:  # noqa: ANN401 - the fields of both
    """What both sides agreed on."""
    audio, common = _parted(values)
    return NegotiatedMedia(AudioFormat(**audio), **common)


def changed(media: NegotiatedMedia, **values: Any) -> NegotiatedMedia:  # noqa: ANN401 - the fields of both
    """The same, but for these."""
    audio, common = _parted(values)
    return replace(media, audio=replace(media.audio, **audio), **common)


def _parted(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    audio = {name: value for name, value in values.items() if name in _AUDIO}
    return audio, {name: value for name, value in values.items() if name not in _AUDIO}
