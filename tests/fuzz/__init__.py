"""Fuzzing: every parser and every `receive` gets bytes that coverage chooses, and may only return or raise its own
error.

`python -m tests.fuzz` runs the targets with atheris. tests/unit/test_fuzz_inputs.py replays what they found, and needs
nothing but pytest.
"""
