#!/bin/sh
# Build Dockerfile.arm64 and run `linegate demo` inside, on any Debian machine, without a Docker engine.
#
#     deploy/arm64/build.sh [--seconds N]
#
# The base image is made here from Debian's own packages and named as the Dockerfile names it, so the
# Dockerfile is built unmodified. On a machine that is not arm64, a static qemu-user of Debian trixie
# (older ones crash the runtime) runs the foreign code; it is registered for the time of the build only.
# Everything is kept under build/arm64, also what a second run can use again.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
work=$here/build/arm64
image=localhost/linegate:arm64
base=$(sed -n 's/^FROM --platform=linux\/arm64 \(docker[^ ]*\).*/\1/p' "$here/Dockerfile.arm64" | head -n 1)
suite=$(printf '%s\n' "$base" | sed 's/.*:\([a-z]*\)-slim$/\1/')
handler=/proc/sys/fs/binfmt_misc/linegate-aarch64
emulated=$([ "$(uname -m)" = aarch64 ] || echo yes)
seconds=5

usage() { sed -n '2,4p' "$0" | sed 's/^# \{0,1\}//'; }

die() {
    printf 'build.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}

say() { printf '== %s\n' "$*"; }

need() {
    for tool in "$@"; do
        command -v "$tool" >/dev/null || die "$tool is missing; install it: apt-get install $tool"
    done
}

# shellcheck source=/dev/null
. "$here/deploy/debian.sh"

# --- running foreign code -----------------------------------------------------------------------------

fetch_qemu() { # a static qemu-aarch64, version 10 or later, at $work/qemu-aarch64
    [ ! -x "$work/qemu-aarch64" ] || return 0
    say "fetching qemu-user of Debian trixie"
    apt=$work/apt
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    printf 'deb %s trixie main\n' "$(mirror main)" >"$apt/sources.list"
    options="-q -o APT::Sandbox::User=root -o Dir::Etc::SourceList=$apt/sources.list -o Dir::Etc::SourceParts=/dev/null
             -o Dir::State::Lists=$apt/lists -o Dir::Cache=$apt/cache"
    # shellcheck disable=SC2086 # the options are words
    (cd "$apt" && apt-get $options update && apt-get $options download qemu-user) >"$apt/log" 2>&1 ||
        die "qemu-user of trixie cannot be fetched; see $apt/log"
    dpkg-deb -x "$apt"/qemu-user_*.deb "$apt/files"
    mv "$apt/files/usr/bin/qemu-aarch64" "$work/qemu-aarch64"
    rm -rf "$apt"
}

register_qemu() {
    fetch_qemu
    [ -e /proc/sys/fs/binfmt_misc/register ] || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc ||
        die "this kernel offers no binfmt_misc; build on an arm64 machine instead"
    unregister_qemu
    magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
    mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    printf '%s' ":linegate-aarch64:M::$magic:$mask:$work/qemu-aarch64:OCF" >/proc/sys/fs/binfmt_misc/register
}

unregister_qemu() { if [ -e "$handler" ]; then echo -1 >"$handler"; fi; }

# --- images -------------------------------------------------------------------------------------------

bah() { buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }

make_base() { # a minimal Debian for arm64 under the name that the Dockerfile gives its base
    if bah inspect --type image "$base" >/dev/null 2>&1; then
        say "base image $base: kept from an earlier run"
        return 0
    fi
    say "base image $base: from $suite packages"
    debian "$suite" "$work/base.tar" --format=tar --arch=arm64 --skip=check/qemu
    container=$(bah from --arch arm64 scratch)
    bah add -q "$container" "$work/base.tar" / >/dev/null
    bah config --arch arm64 --os linux --cmd /bin/sh "$container"
    bah commit -q --rm "$container" "$base" >/dev/null
    rm -f "$work/base.tar"
}

build_image() {
    say "building $image"
    lend_pip_settings "$work/pip"
    bah rmi --prune >/dev/null 2>&1 || true # what earlier builds left: each layer is a full copy here
    bah bud --isolation chroot --pull-never --platform linux/arm64 --format docker \
        --volume "$work/pip:/etc/xdg/pip:ro" -f "$here/Dockerfile.arm64" -t "$image" "$here" >"$work/build.log" 2>&1 ||
        die "the build failed; the end of $work/build.log: $(tail -n 5 "$work/build.log")"
}

inside() { # run a command as the image's user in the container
    bah run --isolation chroot "$container" -- "$@"
}

# shellcheck disable=SC2016 # for the shell inside
service='
    sed "s/^  port: 8080 /  port: 18477 /" /etc/linegate/config.yaml >/tmp/config.yaml
    linegate run --config /tmp/config.yaml &
    tries=0
    until python3 /opt/linegate/healthcheck.py /tmp/config.yaml >/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 60 ] || exit 1
        sleep 1
    done
    kill "$!" && wait "$!"
'
replay='
    linegate simulate --out /tmp/belt --seconds 8 --seed 7
    linegate replay /tmp/belt/clip.avi --truth /tmp/belt/truth.json --out /tmp/replay
    python3 -c "
import json, sys
summary = json.load(open(\"/tmp/replay/summary.json\"))
sys.exit(summary[\"parts\"] == 0 or any(summary[each] for each in (\"missed\", \"duplicates\", \"phantom\")))"
'

try_image() {
    container=$(bah from --pull-never --platform linux/arm64 "$image")
    trap 'bah rm "$container" >/dev/null; unregister_qemu' EXIT
    say "inside: $(inside uname -m), $(inside id -un), $(inside linegate --version)"
    say "linegate run: health check, then SIGTERM"
    inside sh -c "$service" || die "the daemon did not become healthy, or did not stop cleanly"
    say "linegate simulate and replay: every part once"
    inside sh -c "$replay" || die "the replay lost, doubled or invented a part"
    try_demo
    say "all well"
}

try_demo() { # in real time, which emulated code may be too slow for: then the replay is the proof
    say "linegate demo --seconds $seconds"
    code=0
    inside linegate demo --seconds "$seconds" >"$work/demo.log" 2>&1 || code=$?
    cat "$work/demo.log"
    grep -q '^parts entered' "$work/demo.log" || die "linegate demo did not reach its end"
    if [ "$code" -eq 0 ]; then
        say "linegate demo: exit code 0"
    elif [ -n "$emulated" ]; then
        say "linegate demo: exit code $code, because this machine emulates arm64 too slowly for a belt in real time"
    else
        die "linegate demo left exit code $code inside the container"
    fi
}

while [ $# -gt 0 ]; do
    case $1 in
    --seconds) seconds=${2:?"--seconds needs a number"} && shift ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
    esac
    shift
done

[ "$(id -u)" -eq 0 ] || die "must run as root, to make a foreign root file system; try sudo $0"
[ -n "$base" ] || die "Dockerfile.arm64 names no base image"
need mmdebstrap buildah
mkdir -p "$work"
if [ -n "$emulated" ]; then
    trap unregister_qemu EXIT
    trap 'exit 130' INT TERM
    register_qemu
fi
make_base
build_image
try_image
