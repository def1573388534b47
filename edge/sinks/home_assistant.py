"""The station announces itself to Home Assistant: one retained message that describes it and where its values are."""

from __future__ import annotations

from typing import Any

from edge import config
from edge.sinks.outbox import Letter, encoded

COUNTERS = {"parts": "Parts", "pass": "Passed", "reject": "Rejected", "review": "For review"}


def announcement(settings: config.HomeAssistant, station: config.Station, prefix: str, version: str) -> Letter:
    """MQTT device discovery (Home Assistant 2024.11 or newer). `prefix`: what the station's own topics begin with."""
    identity = f"linegate_{station.site}_{station.line}_{station.station}".replace(".", "_")
    document = {
        "device": {
            "identifiers": [identity],
            "name": f"Linegate {station.line} {station.station}",
            "manufacturer": "Linegate",
            "model": "inspection station",
            "sw_version": version,
        },
        "origin": {"name": "linegate", "sw_version": version},
        "availability_topic": f"{prefix}/state",
        "availability_template": "{{ value_json.state }}",
        "payload_available": "online",
        "payload_not_available": "offline",
        "qos": 1,
        "components": _components(identity, prefix),
    }
    return Letter(
        topic=f"{settings.prefix}/device/{identity}/config", payload=encoded(document), retain=True, elsewhere=True
    )


def _components(identity: str, prefix: str) -> dict[str, Any]:
    counters = {
        key: {
            "name": name,
            "state_topic": f"{prefix}/counters",
            "value_template": f"{{{{ value_json['{key}'] }}}}",
            "state_class": "total_increasing",
            "unit_of_measurement": "parts",
        }
        for key, name in COUNTERS.items()
    }
    others = {
        "line": {
            "name": "Line",
            "state_topic": f"{prefix}/state",
            "value_template": "{{ value_json.line | default('unknown') }}",
            "icon": "mdi:conveyor-belt",
        },
        "verdict": {
            "name": "Last verdict",
            "state_topic": f"{prefix}/verdict",
            "value_template": "{{ value_json.decision }}",
            "json_attributes_topic": f"{prefix}/verdict",
        },
        "model": {
            "name": "Model",
            "state_topic": f"{prefix}/state",
            "value_template": "{{ (value_json.model | default({}, true)).version | default('unknown') }}",
            "entity_category": "diagnostic",
        },
    }
    return {
        key: {"platform": "sensor", "unique_id": f"{identity}_{key}", **component}
        for key, component in (counters | others).items()
    }
