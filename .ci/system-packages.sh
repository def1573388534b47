#!/bin/sh
# The real servers and tools that the tests talk to. Without them the tests that need them are skipped, with the reason.
set -eu

PATH="$PATH:/usr/sbin:/sbin"
missing=
while read -r tool package; do
  command -v "$tool" >/dev/null 2>&1 || missing="$missing $package"
done <<LIST
mosquitto mosquitto
mosquitto_sub mosquitto-clients
prometheus prometheus
promtool prometheus
chromium chromium
shellcheck shellcheck
systemd-analyze systemd
openssl openssl
faketime faketime
LIST

[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" -ne 0 ]; then
  echo "not installed:$missing; the embedded broker stands in for mosquitto, other tests that need them are skipped" >&2
  echo "to run everything: sudo apt-get install$missing" >&2
  exit 0
fi
echo "installing for the tests:$missing"
export DEBIAN_FRONTEND=noninteractive
# The servers are started by the tests themselves, on ports of their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
# shellcheck disable=SC2086 # a list of packages
apt-get install -y -qq --no-install-recommends $missing >/dev/null
