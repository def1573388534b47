#!/bin/sh
# The Raspberry Pi camera's own software, picamera2 on libcamera, without a Pi and without a camera.
#
# libcamera's "virtual" pipeline shows pictures instead of a sensor's. It is built into Debian 13's libcamera, so Debian 13
# is installed into a folder of its own and the checks run in there.
# Needs: Debian, amd64, root, about 1 GB of disk. The first run takes some minutes, later ones less than one.
#
#     sudo tests/acceptance/picamera-virtual.sh [folder to work in]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
work=$(mkdir -p "${1:-$project/build/picamera-virtual}" && cd "${1:-$project/build/picamera-virtual}" && pwd)
root=$work/root

fail() {
    echo "picamera-virtual: $1" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "making a Debian root needs root; run it with sudo"
[ "$(dpkg --print-architecture)" = amd64 ] || fail "this needs an amd64 machine"

for package in mmdebstrap:mmdebstrap python3-pip:pip3; do
    command -v "${package#*:}" >/dev/null || apt-get install -y --no-install-recommends "${package%:*}"
done

if ! [ -e "$root.complete" ]; then
    # The variable is apt's.
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' | grep -v security | head -n 1)
    [ -n "$mirror" ] || fail "apt knows no Debian mirror; add one to /etc/apt/sources.list.d and run apt-get update"
    rm -rf "$root"
    mmdebstrap --quiet --variant=minbase --include=python3,python3-libcamera,python3-prctl trixie "$root" "$mirror"
    # picamera2 opens the Pi's heap before it asks whether it is wanted.
    mkdir -p "$root/dev/dma_heap"
    touch "$root/dev/dma_heap/linux,cma"
    python3 -m pip install --quiet --root-user-action=ignore --target "$root/opt/packages" --no-deps \
        --only-binary=:all: --implementation cp --python-version 3.13 \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
        picamera2==0.3.38 videodev2 simplejpeg piexif pillow \
        numpy==2.2.6 opencv-python-headless==4.14.0.94 pyyaml==6.0.3
    touch "$root.complete"
fi

rm -rf "$root/opt/linegate"
mkdir -p "$root/opt/linegate"
cp -r "$project/edge" "$here/virtual_camera.py" "$here/picamera_virtual.py" "$root/opt/linegate/"

# The virtual pipeline of libcamera 0.4.0 never writes a frame's status; MALLOC_PERTURB_ has it read as zero, success.
# The inner shell's arguments are its own.
# shellcheck disable=SC2016
unshare --mount --pid --net --fork sh -c '
    mount -t proc proc "$1/proc" && mount -t tmpfs tmpfs "$1/tmp" && cd / &&
    exec timeout 900 chroot "$1" env -i PATH=/usr/bin:/bin PYTHONPATH=/opt/linegate:/opt/packages \
        MALLOC_PERTURB_=255 LIBCAMERA_LOG_LEVELS="*:ERROR" PYTHONDONTWRITEBYTECODE=1 \
        python3 -X faulthandler /opt/linegate/picamera_virtual.py
' sh "$root" || fail "a check failed; its traceback is above"
echo "picamera-virtual: passed"
