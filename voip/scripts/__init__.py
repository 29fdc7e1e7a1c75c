"""The scripts as modules, for the commands `voip-receiver` and `voip-sender`.

A wheel has them here; a checkout, also one that is installed to be edited (`pip install -e .`), beside the package.
"""

from pathlib import Path

_HERE = Path(__file__).resolve().parent

if not (_HERE / "receiver.py").is_file():
    __path__.append(str(_HERE.parents[1]))
