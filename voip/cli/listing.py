"""--list-devices."""

from __future__ import annotations

import json
import sys

from voip.devices import DeviceInfo, list_devices
from voip.errors import EXIT_DEVICE, EXIT_OK, DeviceError
from voip.printable import one_line, printable

HEADER = "number       rate  latency  use             name"
LEGEND = "* is used unless another is named, by its number or a part of its name: --input mic:2, --output speaker:usb"


def show_devices(*, as_json: bool) -> int:
    """Print what can be heard from and played to; the exit status."""
    try:
        devices = list_devices()
    except DeviceError as error:
        print(printable(str(error)), file=sys.stderr)
        return EXIT_DEVICE
    if as_json:
        print(json.dumps([vars(device) for device in devices]))
    elif devices:
        print("\n".join([HEADER, *(_device_line(device) for device in devices), LEGEND]))
    else:
        print("no sound device")
    return EXIT_OK


def _device_line(device: DeviceInfo) -> str:
    roles = []
    if device.inputs:
        roles.append("mic" + ("*" if device.default_input else ""))
    if device.outputs:
        roles.append("speaker" + ("*" if device.default_output else ""))
    latency = 1e3 * max(device.input_latency, device.output_latency)
    return f"{device.index:6}  {device.rate:6} Hz  {latency:4.0f} ms  {', '.join(roles):14}  {one_line(device.name)}"
