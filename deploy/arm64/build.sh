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

# --- the machine's own mirrors: asked at run time, so that none is written here -----------------------

mirror() { # the archive that this machine installs from; $1: security or main
    # shellcheck disable=SC2016 # apt expands these
    apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
        awk -v want="$1" '{ kind = ($2 ~ /security/) ? "security" : "main" } kind == want { print $1; exit }'
}

apt_options() { # what this machine tells apt about the way to its mirrors
    apt-config dump | sed -n \
        -e 's/^\(Acquire::Check-Valid-Until\) "\(.*\)";$/\1 "\2";/p' \
        -e 's/^\(Acquire::Check-Date\) "\(.*\)";$/\1 "\2";/p' \
        -e 's/^\(Acquire::https\{0,1\}::Proxy\) "\(.*\)";$/\1 "\2";/p'
}

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
    apt_options >"$work/apt-options"
    security=$(mirror security)
    {
        printf 'deb %s %s main\n' "$(mirror main)" "$suite"
        [ -z "$security" ] || printf 'deb %s %s-security main\n' "$security" "$suite"
    } | mmdebstrap --quiet --arch=arm64 --variant=minbase --skip=check/qemu --aptopt="$work/apt-options" \
        "$suite" "$work/base.tar" - || die "mmdebstrap could not make the base"
    container=$(bah from --arch arm64 scratch)
    bah add -q "$container" "$work/base.tar" / >/dev/null
    bah config --arch arm64 --os linux --cmd /bin/sh "$container"
    bah commit -q --rm "$container" "$base" >/dev/null
    rm -f "$work/base.tar"
}

lend_pip_settings() { # this machine's way to its package index; mounted while building, not kept in the image
    lent=$work/pip
    mkdir -p "$lent"
    if [ -f /etc/pip.conf ]; then
        sed '/^cert *=/d' /etc/pip.conf >"$lent/pip.conf"
    else
        echo '[global]' >"$lent/pip.conf"
    fi
    if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
        cp /etc/ssl/certs/ca-certificates.crt "$lent/ca.crt"
        sed -i 's|^\[global\]|&\ncert = /etc/xdg/pip/ca.crt|' "$lent/pip.conf"
    fi
}

build_image() {
    say "building $image"
    lend_pip_settings
    bah bud --isolation chroot --pull-never --platform linux/arm64 --format docker --layers \
        --volume "$lent:/etc/xdg/pip:ro" -f "$here/Dockerfile.arm64" -t "$image" "$here" >"$work/build.log" 2>&1 ||
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

try_image() {
    container=$(bah from --pull-never "$image")
    trap 'bah rm "$container" >/dev/null; unregister_qemu' EXIT
    say "inside: $(inside uname -m), $(inside id -un), $(inside linegate --version)"
    say "linegate run: health check, then SIGTERM"
    inside sh -c "$service" || die "the daemon did not become healthy, or did not stop cleanly"
    say "linegate demo --seconds $seconds"
    inside linegate demo --seconds "$seconds" || die "linegate demo left exit code $? inside the container"
    say "all well"
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
if [ "$(uname -m)" != aarch64 ]; then
    trap unregister_qemu EXIT
    trap 'exit 130' INT TERM
    register_qemu
fi
make_base
build_image
try_image
