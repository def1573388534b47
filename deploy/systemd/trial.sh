#!/bin/bash
# Runs inside the container that try-in-container.sh boots: the promises of linegate.service, one by one.
set -euo pipefail

config=/etc/linegate/config.yaml

trap 'journalctl --no-pager -u linegate.service >/var/log/trial-journal' EXIT

fact() { systemctl show --value -p "$1" linegate.service; }

now() { date +%s.%N; }

since() { awk -v from="$1" -v to="$(now)" 'BEGIN { printf "%.1f s", to - from }'; }

until_true() { # $1 seconds long, until the rest is true
    local seconds=$1
    shift
    for ((try = 0; try < seconds * 10; try++)); do
        if "$@"; then return 0; fi
        sleep 0.1
    done
    echo "NOT within $seconds s: $*"
    systemctl status --no-pager --lines 20 linegate.service || true
    return 1
}

restarts_above() { [ "$(fact NRestarts)" -gt "$1" ] && [ "$(fact ActiveState)" = active ]; }

failed() { [ "$(fact ActiveState)" = failed ]; }

verdicts_above() { [ "$(fact StatusText | grep -o '[0-9]* verdicts' | cut -d' ' -f1)" -gt "$1" ] 2>/dev/null; }

started() { systemctl is-active --quiet linegate.service; }

until_true 30 started
ready=$(($(fact ActiveEnterTimestampMonotonic) - $(fact ExecMainStartTimestampMonotonic)))
echo "started: systemd heard READY after $((ready / 1000)) ms; status: $(fact StatusText)"

until_true 30 verdicts_above 2
main=$(fact MainPID)
grep -E '^(Uid|CapEff|NoNewPrivs|Seccomp):' "/proc/$main/status" | tr '\n' ' '
echo
grep -q "^CapEff:.0000000000000000" "/proc/$main/status"
[ "$(stat -c %U /proc/"$main")" = linegate ]
[ "$(stat -c %U /var/lib/linegate/journal.sqlite)" = linegate ]
echo "works under its sandbox: $(fact StatusText)"
journalctl --no-pager -o cat -u linegate.service | grep -m 1 XNNPACK

before=$(fact NRestarts) from=$(now)
kill -STOP "$main"
until_true 40 restarts_above "$before"
echo "watchdog: a frozen daemon was replaced after $(since "$from") ($(journalctl --no-pager -o cat -u linegate.service | grep -m 1 -i 'watchdog timeout'))"

before=$(fact NRestarts) from=$(now)
kill -KILL "$(fact MainPID)"
until_true 20 restarts_above "$before"
echo "restart: a killed daemon was replaced after $(since "$from")"
until_true 30 verdicts_above 0

cp "$config" /tmp/config.yaml
echo "htpp: {}" >>"$config"
before=$(fact NRestarts)
systemctl restart linegate.service || true
until_true 20 failed
sleep 4
failed
[ "$(fact ExecMainStatus)" = 78 ]
[ "$(fact NRestarts)" -le "$before" ]
echo "exit 78: not started again; it said: $(journalctl --no-pager -o cat -u linegate.service | grep -m 1 htpp)"
if /checkout/deploy/systemd/install.sh >/tmp/said 2>&1; then
    echo "the installer accepted a wrong configuration"
    exit 1
fi
echo "the installer refuses it too: $(tail -n 1 /tmp/said)"
cp /tmp/config.yaml "$config"

/checkout/deploy/systemd/install.sh
until_true 20 started
until_true 30 verdicts_above 0
echo "installed again: $(fact StatusText)"

from=$(now)
systemctl stop linegate.service
[ "$(fact Result)" = success ]
[ "$(fact ExecMainStatus)" = 0 ]
echo "stop: exit code 0 after $(since "$from")"

/checkout/deploy/systemd/install.sh --uninstall
[ -e /var/lib/linegate/journal.sqlite ]
[ ! -e /opt/linegate ]
/checkout/deploy/systemd/install.sh --uninstall --purge
[ ! -e /var/lib/linegate ]
if getent passwd linegate; then exit 1; fi
echo "all well"
