"""Verdicts of one station to a PLC over Modbus TCP: every sequence, in order.

    pip install paho-mqtt==2.1.0 pymodbus==3.16.1
    python gateway.py 10.0.0.5:1883 linegate/plant1/line1/cam1 10.0.0.9:502 100

The last number is the address of the first of three holding registers: sequence (high word, low word) and evaluation
(1 OK, 2 NotOK, 3 NotDecidable), written together. The PLC acts when the sequence changes. It also is the memory: the
gateway reads there what was written last, and tells the broker that it has a verdict only after the PLC has it.
The station needs `mqtt.commands: true`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import paho.mqtt.client as paho
from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

AHEAD = 1000
"""Verdicts kept aside while one before them is missing; the station resends no more than this at a time."""
ASK_EVERY_S = 2.0
SILENT_S = 5.0
"""After so long without a verdict it is asked whether the newest got lost."""


class Follower:
    """Makes of verdicts that come twice, late or not at all every sequence once, in order."""

    def __init__(self, last: int, write: Callable[[int, int], None]) -> None:
        """`last` was written before; 0: begin with the first that comes. `write` takes sequence and evaluation."""
        self.last, self._write = last, write
        self._aside: dict[int, int] = {}
        self._heard_s = self._asked_s = 0.0

    def verdict(self, document: dict[str, Any]) -> None:
        """One message on `verdict`."""
        self._heard_s = time.monotonic()
        self.last = self.last or document["sequence"] - 1
        self._take(document["sequence"], document["evaluation"])

    def reply(self, document: dict[str, Any]) -> None:
        """One message on `reply/resend`: what the station no longer has is not decidable for the PLC."""
        for first, last in document.get("missing", []):
            for sequence in range(max(first, self.last + 1), last + 1):
                self._take(sequence, self._aside.get(sequence, 3))

    def _take(self, sequence: int, evaluation: int) -> None:
        if self.last < sequence <= self.last + AHEAD:
            self._aside[sequence] = evaluation
        while self.last + 1 in self._aside:
            self._write(self.last + 1, self._aside.pop(self.last + 1))
            self.last += 1

    def missing(self) -> dict[str, int] | None:
        """What to ask the station for; None when nothing is missing or it was asked for a moment ago."""
        now_s = time.monotonic()
        wanting = self._aside or now_s - self._heard_s > SILENT_S
        if not (self.last and wanting and now_s - self._asked_s > ASK_EVERY_S):
            return None
        self._asked_s = now_s
        return {"from": self.last + 1, "to": min(self._aside, default=self.last + AHEAD + 1) - 1}


def follow(broker: tuple[str, int], topic: str, follower: Follower, goes_on: Callable[[], bool] = lambda: True) -> None:
    """Keep a persistent session at the broker while `goes_on()`, and feed the follower."""

    def heard(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        hear = follower.verdict if message.topic.endswith("/verdict") else follower.reply
        hear(json.loads(message.payload))
        client.ack(message.mid, message.qos)

    name = "gateway-" + topic.replace("/", "-")
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, name, clean_session=False, manual_ack=True)
    client.on_connect = lambda *_: client.subscribe([(f"{topic}/verdict", 1), (f"{topic}/reply/resend", 1)])
    client.on_message = heard
    client.connect_async(*broker, keepalive=10)
    while goes_on():
        if client.loop(0.1) != paho.MQTT_ERR_SUCCESS:
            time.sleep(1.0)
            with suppress(OSError):
                client.reconnect()
        elif request := follower.missing():
            client.publish(f"{topic}/command/resend", json.dumps(request))


def until_done(plc: ModbusTcpClient, request: Callable[[], Any]) -> Any:
    """The PLC may be away; nothing else can be done meanwhile."""
    while True:
        with suppress(ModbusException):
            if (plc.connected or plc.connect()) and not (answer := request()).isError():
                return answer
        plc.close()
        time.sleep(0.5)


def main() -> None:
    """Run until stopped."""
    broker, topic, plc, first_register = sys.argv[1:]
    host, port = plc.split(":")
    client = ModbusTcpClient(host, port=int(port), timeout=1)

    def write(sequence: int, evaluation: int) -> None:
        values = [sequence >> 16 & 0xFFFF, sequence & 0xFFFF, evaluation]
        until_done(client, lambda: client.write_registers(int(first_register), values))

    words = until_done(client, lambda: client.read_holding_registers(int(first_register), count=2)).registers
    host, port = broker.split(":")
    follow((host, int(port)), topic, Follower(words[0] << 16 | words[1], write))


if __name__ == "__main__":
    main()
