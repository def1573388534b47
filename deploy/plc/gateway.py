"""Verdicts of one station to a PLC over Modbus TCP: every sequence, in order.

    pip install paho-mqtt==2.1.0 pymodbus==3.16.1
    python gateway.py --broker 10.0.0.5 --topic linegate/plant1/line1/cam1 --plc 10.0.0.9 --address 100

Three holding registers: sequence (high word, low word), evaluation (1 OK, 2 NotOK, 3 NotDecidable), written together.
The PLC acts when the sequence changes. It also is the memory: the gateway reads there what was written last, and tells
the broker that it has a verdict only after the PLC has it. The station needs `mqtt.commands: true`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho

AHEAD = 1000
"""Verdicts kept aside while one before them is missing; the station resends no more than this at a time."""
ASK_EVERY_S = 2.0
SILENT_S = 5.0
"""After so long without a verdict it is asked whether the newest got lost."""


class Follower:
    """Makes of verdicts that come twice, late or not at all every sequence once, in order."""

    def __init__(self, last: int, write: Callable[[int, int], None]) -> None:
        """`last` was written before; 0: begin with the first that comes. `write` takes sequence and evaluation."""
        self.last = last
        self._write = write
        self._aside: dict[int, int] = {}
        self._heard_s = self._asked_s = 0.0

    def verdict(self, document: dict[str, Any]) -> None:
        """One message on `verdict`."""
        sequence = document["sequence"]
        self._heard_s = time.monotonic()
        self.last = self.last or sequence - 1
        if self.last < sequence <= self.last + AHEAD:
            self._aside[sequence] = document["evaluation"]
        self._go_on()

    def reply(self, document: dict[str, Any]) -> None:
        """One message on `reply/resend`: what the station no longer has is not decidable for the PLC."""
        for first, last in document.get("missing", []):
            for sequence in range(max(first, self.last + 1), last + 1):
                self._aside.setdefault(sequence, 3)
        self._go_on()

    def missing(self) -> dict[str, int] | None:
        """What to ask the station for; None when nothing is missing or it was asked for a moment ago."""
        now_s = time.monotonic()
        wanting = self._aside or now_s - self._heard_s > SILENT_S
        if not (self.last and wanting and now_s - self._asked_s > ASK_EVERY_S):
            return None
        self._asked_s = now_s
        return {"from": self.last + 1, "to": min(self._aside, default=self.last + AHEAD + 1) - 1}

    def _go_on(self) -> None:
        while self.last + 1 in self._aside:
            self._write(self.last + 1, self._aside.pop(self.last + 1))
            self.last += 1


def follow(broker: tuple[str, int], topic: str, follower: Follower, goes_on: Callable[[], bool] = lambda: True) -> None:
    """Keep a persistent session at the broker while `goes_on()`, and feed the follower."""

    def heard(client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        hear = follower.verdict if message.topic.endswith("/verdict") else follower.reply
        hear(json.loads(message.payload))
        client.ack(message.mid, message.qos)

    name = "gateway-" + topic.replace("/", "-")
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, name, clean_session=False, manual_ack=True)
    client.on_connect = lambda *_: client.subscribe([(f"{topic}/verdict", 1), (f"{topic}/reply/resend", 1)])
    client.on_message = heard
    client.connect_async(*broker, keepalive=10)
    connected = False
    while goes_on():
        try:
            connected = connected or client.reconnect() == paho.MQTT_ERR_SUCCESS
            connected = client.loop(0.1) == paho.MQTT_ERR_SUCCESS
        except OSError:
            connected = False
        if not connected:
            time.sleep(1.0)
        elif request := follower.missing():
            client.publish(f"{topic}/command/resend", json.dumps(request), qos=0)


def main() -> None:
    """Run until stopped."""
    from pymodbus.client import ModbusTcpClient
    from pymodbus.exceptions import ModbusException

    options = argparse.ArgumentParser()
    options.add_argument("--broker", default="127.0.0.1:1883")
    options.add_argument("--topic", default="linegate/plant1/line1/cam1")
    options.add_argument("--plc", default="127.0.0.1:502")
    options.add_argument("--address", type=int, default=100, help="of the first holding register")
    given = options.parse_args()
    host, _, port = given.plc.partition(":")
    plc = ModbusTcpClient(host, port=int(port or 502), timeout=1)

    def until_done(request: Callable[[], Any]) -> Any:
        """The PLC may be away; nothing else can be done meanwhile."""
        while True:
            try:
                if (plc.connected or plc.connect()) and not (answer := request()).isError():
                    return answer
            except ModbusException:
                plc.close()
            time.sleep(0.5)

    def write(sequence: int, evaluation: int) -> None:
        values = [sequence >> 16 & 0xFFFF, sequence & 0xFFFF, evaluation]
        until_done(lambda: plc.write_registers(given.address, values))

    words = until_done(lambda: plc.read_holding_registers(given.address, count=2)).registers
    host, _, port = given.broker.partition(":")
    follow((host, int(port or 1883)), given.topic, Follower(words[0] << 16 | words[1], write))


if __name__ == "__main__":
    main()
