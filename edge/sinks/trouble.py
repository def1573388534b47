"""Why there is no connection to the broker, in one line that says what to do."""

from __future__ import annotations

import socket
import ssl

ADVICE = {
    0x84: "speaks another version of MQTT",
    0x85: "does not accept the client's name ({text}); shorten site, line and station in the config",
    0x86: "does not accept user name and password; check mqtt.username and its password",
    0x87: "does not let us in (not authorized); check mqtt.username, its password and the broker's access list",
    0x88: "is not available just now ({text})",
    0x8A: "has banned this client; ask whoever runs it",
    0x8B: "is shutting down",
    0x8D: "heard nothing from us for too long; check the network",
    0x8E: "gave our name to another client; two stations have the same site, line and station",
    0x8C: "wants another way of authentication ({text}); it is not supported",
    0x97: "is over its quota; ask whoever runs it",
    0x9A: "does not keep retained messages; allow them, state and counters need them",
    0x9B: "does not allow QoS 1; allow it, verdicts need it",
}
OTHER_VERSION = {0x01, 0x81, 0x82, 0x84}
"""How brokers that know no MQTT 5 answer to it."""


class Lost(Exception):
    """There is no connection. `other_version`: the broker may accept an older version of MQTT."""

    def __init__(self, reason: str, *, other_version: bool = False) -> None:
        super().__init__(reason)
        self.other_version = other_version


def from_broker(code: int, text: str) -> Lost:
    """The broker gave a reason code."""
    advice = ADVICE.get(code, "refused ({text}, reason code 0x{code:02x}); look into its log")
    return Lost(advice.format(text=text, code=code), other_version=code in OTHER_VERSION)


def from_connect(error: OSError | ValueError) -> Lost:
    """The network or TLS gave an error before the broker could say anything."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Lost(
            f"has a certificate that is not trusted ({error.verify_message}); "
            "check mqtt.tls.ca_file, and that mqtt.host is a name in the certificate"
        )
    if isinstance(error, ssl.SSLError):
        return Lost(
            f"does not agree on TLS ({error.reason or error}); check mqtt.tls and that mqtt.port is its TLS port"
        )
    if isinstance(error, socket.gaierror):
        return Lost("has a name that cannot be resolved; check mqtt.host and the network's DNS")
    if isinstance(error, ConnectionRefusedError):
        return Lost("is not there (connection refused); start it or correct mqtt.host and mqtt.port")
    if isinstance(error, ConnectionResetError):
        return Lost("breaks off at once; check mqtt.port, mqtt.tls and its log")
    if isinstance(error, TimeoutError):
        return Lost("does not answer; check the network, mqtt.host and mqtt.port")
    reason = error.strerror if isinstance(error, OSError) else None
    return Lost(f"cannot be reached ({reason or error}); check the network, mqtt.host and mqtt.port")
