"""What proves who we are to the broker. Files are read at every connect, so that they can be renewed."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge.config import ConfigError, Mqtt, Tls

HANDSHAKE_S = 3.0


class HastySocket(ssl.SSLSocket):
    """paho waits for a handshake as long as the keep-alive, which may be minutes; a stop cannot."""

    def settimeout(self, value: float | None) -> None:
        """As asked, but not for longer."""
        super().settimeout(HANDSHAKE_S if value is None else min(value, HANDSHAKE_S))


USERNAME, PASSWORD = "LINEGATE_MQTT_USERNAME", "LINEGATE_MQTT_PASSWORD"
"""Names in the environment, for what the configuration leaves open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who we are to the broker. Its password is not shown when it is printed."""

    username: str
    password: str | None = field(default=None, repr=False)


def login(settings: Mqtt, environment: Mapping[str, str] = os.environ) -> Login | None:
    """User name and password, None without a name; raises `ConfigError`. Never log the password."""
    username = settings.username or environment.get(USERNAME, "")
    if settings.password_file and not username:
        raise ConfigError(["mqtt.password_file: is set, but mqtt.username is not; set both or none"])
    if environment.get(PASSWORD) and not username:
        raise ConfigError([f"{PASSWORD}: is set, but neither mqtt.username nor {USERNAME} is; set both or none"])
    if not username:
        return None
    password = _first_line(settings.password_file) if settings.password_file else environment.get(PASSWORD)
    return Login(username=username, password=password)


def _first_line(name: str) -> str:
    try:
        lines = Path(name).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError([_unreadable("mqtt.password_file", name, error)]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"mqtt.password_file: {name} is not UTF-8 text; write it anew"]) from None
    if not lines or not lines[0]:
        raise ConfigError([f"mqtt.password_file: {name} is empty; put the password in its first line"])
    return lines[0]


def tls_context(tls: Tls) -> ssl.SSLContext | None:
    """What protects the connection, None when TLS is off; raises `ConfigError`. Host names are always checked."""
    if not tls.enabled:
        return None
    if tls.key_file and not tls.cert_file:
        raise ConfigError(["mqtt.tls.key_file: is set, but mqtt.tls.cert_file is not; set both or none"])
    context = ssl.create_default_context()
    if tls.ca_file:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(tls.ca_file)
        except ssl.SSLError:
            raise ConfigError([f"mqtt.tls.ca_file: {tls.ca_file} holds no certificate in PEM form"]) from None
        except OSError as error:
            raise ConfigError([_unreadable("mqtt.tls.ca_file", tls.ca_file, error)]) from None
    context.sslsocket_class = HastySocket
    if tls.cert_file:
        _load_own_certificate(context, tls)
    return context


def _load_own_certificate(context: ssl.SSLContext, tls: Tls) -> None:
    for key, name in (("cert_file", tls.cert_file), ("key_file", tls.key_file)):
        try:
            if name:
                Path(name).read_bytes()
        except OSError as error:
            raise ConfigError([_unreadable(f"mqtt.tls.{key}", name, error)]) from None
    try:
        # An empty passphrase makes an encrypted key an error; without it OpenSSL would ask on the terminal.
        context.load_cert_chain(tls.cert_file, tls.key_file or None, password="")
    except ssl.SSLError:
        raise ConfigError(
            [f"mqtt.tls.cert_file: {tls.cert_file} and its key do not fit together, are not PEM, or are encrypted"]
        ) from None


def _unreadable(key: str, name: str, error: OSError) -> str:
    return f"{key}: {name} cannot be read ({error.strerror}); correct the path or its permissions"
