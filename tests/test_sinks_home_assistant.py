"""The announcement to Home Assistant: as its documentation describes it, retained, and true about the topics."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from brokers import Listener, Mosquitto, eventually, needs_mosquitto
from test_sinks_mqtt import STATION, running

from edge import config
from edge.sinks.home_assistant import announcement

pytestmark = pytest.mark.wall_clock

TEXT = {"type": "string", "minLength": 1}
TOPIC = {"type": "string", "pattern": "^[^#+\0]+$"}
TEMPLATE = {"type": "string", "pattern": "^{{ .+ }}$"}
DOCUMENTED = {
    "type": "object",
    "required": ["device", "origin", "components"],
    "additionalProperties": False,
    "properties": {
        "device": {
            "type": "object",
            "required": ["identifiers"],
            "additionalProperties": False,
            "properties": {
                "identifiers": {"type": "array", "items": TEXT, "minItems": 1},
                **dict.fromkeys(("name", "manufacturer", "model", "sw_version", "hw_version", "serial_number"), TEXT),
            },
        },
        "origin": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": False,
            "properties": dict.fromkeys(("name", "sw_version", "support_url"), TEXT),
        },
        "availability_topic": TOPIC,
        "availability_template": TEMPLATE,
        "payload_available": TEXT,
        "payload_not_available": TEXT,
        "qos": {"enum": [0, 1, 2]},
        "components": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "type": "object",
                "required": ["platform", "unique_id", "name", "state_topic"],
                "additionalProperties": False,
                "properties": {
                    "platform": {"const": "sensor"},
                    "unique_id": TEXT,
                    "name": TEXT,
                    "state_topic": TOPIC,
                    "json_attributes_topic": TOPIC,
                    "value_template": TEMPLATE,
                    "state_class": {"enum": ["measurement", "total", "total_increasing"]},
                    "unit_of_measurement": TEXT,
                    "icon": {"type": "string", "pattern": "^mdi:"},
                    "entity_category": {"enum": ["config", "diagnostic"]},
                },
            },
        },
    },
}
"""What the documentation of MQTT discovery allows, as far as it is used here (device discovery, sensors)."""


def announced() -> tuple[str, dict[str, Any]]:
    letter = announcement(config.HomeAssistant(), STATION, "linegate/plant1/line3/cam1", "9.9")
    assert letter.retain
    assert letter.elsewhere
    return letter.topic, json.loads(letter.payload)


def test_the_announcement_is_as_documented() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    topic, document = announced()
    jsonschema.Draft202012Validator(DOCUMENTED).validate(document)
    assert re.fullmatch(r"homeassistant/device/[A-Za-z0-9_-]+/config", topic)
    identities = [each["unique_id"] for each in document["components"].values()]
    assert len(set(identities)) == len(identities)


@pytest.mark.parametrize("name", ["a.b", "plant-1"])
def test_any_allowed_name_makes_an_allowed_topic(name: str) -> None:
    station = config.Station(site=name, line=name, station=name)
    topic = announcement(config.HomeAssistant(prefix="ha"), station, "x", "1").topic
    assert re.fullmatch(r"ha/device/[A-Za-z0-9_-]+/config", topic)


@needs_mosquitto
def test_what_it_announces_is_there(tmp_path: Path) -> None:
    topic, document = announced()
    with Mosquitto(tmp_path) as broker:
        with running(tmp_path, broker.port) as line, Listener(broker.port, "linegate/#") as listener:
            line.publisher.say_letter(
                announcement(config.HomeAssistant(), STATION, "linegate/plant1/line3/cam1", "9.9")
            )
            line.publisher.say_state({"line": "running", "model": {"version": "1"}})
            line.publisher.say_counters({"parts": 3, "pass": 1, "reject": 1, "review": 1})
            line.append(3)
            eventually(lambda: listener.on("counters") and len(listener.on("verdict")) == 3)
            heard = {each.topic: json.loads(each.payload) for each in listener.messages}
        for component in document["components"].values():
            found = heard[component["state_topic"]]
            named = re.findall(r"value_json(?:\.|\[')(\w+)", component["value_template"])
            assert named
            assert named[0] in found, component["name"]
        assert heard[document["availability_topic"]]["state"] == "online"
        with Listener(broker.port, "homeassistant/#") as home:
            eventually(lambda: home.messages)
            message: paho.MQTTMessage = home.messages[0]
            assert (message.topic, message.retain, json.loads(message.payload)) == (topic, True, document)
