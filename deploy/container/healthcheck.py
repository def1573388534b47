"""Is the daemon in this container alive? Asks /healthz where the configuration says that it answers; exit 0 or 1."""

import sys
import urllib.request
from pathlib import Path

from edge.config import ConfigError, load

TIMEOUT_S = 3.0


def main(config_file: str) -> int:
    """0 when /healthz answers, or when the configuration switches the page off and there is nobody to ask."""
    try:
        http = load(Path(config_file)).http
    except ConfigError as error:
        print(error)
        return 1
    if not http.enabled:
        return 0
    host = "127.0.0.1" if http.host in ("0.0.0.0", "::", "") else http.host
    try:
        with urllib.request.urlopen(f"http://{host}:{http.port}/healthz", timeout=TIMEOUT_S):
            return 0
    except OSError as error:
        print(f"http://{host}:{http.port}/healthz: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
