#!/bin/sh
# Install the service into a fresh Debian, boot it, and see that systemd treats it as the unit promises:
# start on notice, watchdog, restarts, exit code 78, stop, repeated installation, removal.
#
#     sudo deploy/systemd/try-in-container.sh [suite]        (default: bookworm)
#
# Needs mmdebstrap and systemd-container. The Debian is kept in build/service for the next time; the booted
# machine has no network.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
suite=${1:-bookworm}
work=$here/build/service
root=$work/root

die() {
    printf 'try-in-container.sh: %s\n' "$1" >&2
    exit 1
}

say() { printf '== %s\n' "$*"; }

# shellcheck source=/dev/null
. "$here/deploy/debian.sh"

contained() { # a process in that Debian, with the checkout in it
    systemd-nspawn --quiet --register=no --keep-unit -D "$root" --bind-ro="$here:/checkout" \
        --bind-ro="$work/pip:/etc/xdg/pip" --console=pipe "$@"
}

[ "$(id -u)" -eq 0 ] || die "must run as root; try sudo $0"
for tool in mmdebstrap systemd-nspawn; do
    command -v "$tool" >/dev/null || die "$tool is missing; apt-get install mmdebstrap systemd-container"
done
[ -e "$here/models/current/manifest.json" ] || die "no model in models/: make model"

mkdir -p "$work"
lend_pip_settings "$work/pip"
base=$work/$suite.tar
if [ ! -e "$base" ]; then
    say "making a Debian $suite"
    debian "$suite" "$base.part" --format=tar --include=systemd,systemd-sysv,dbus,python3-venv,procps
    mv "$base.part" "$base"
fi
rm -rf "$root"
mkdir "$root"
tar -C "$root" -xf "$base"

say "installing"
contained /checkout/deploy/systemd/install.sh
install -m 0644 "$here/deploy/systemd/trial.service" "$root/etc/systemd/system/trial.service"
ln -s ../trial.service "$root/etc/systemd/system/multi-user.target.wants/trial.service"

say "booting"
timeout 300 systemd-nspawn --quiet --register=no --keep-unit --private-network -D "$root" --bind-ro="$here:/checkout" \
    --console=pipe --boot >"$work/boot.log" 2>&1 </dev/null || say "the container ended with exit code $?"
cat "$root/var/log/trial" || die "the trial did not run; see $work/boot.log"
tail -n 1 "$root/var/log/trial" | grep -q '^all well' || die "the trial failed; the journal of the service is in $root/var/log/trial-journal"
