#!/bin/sh
# The Raspberry Pi camera's own software, picamera2 on libcamera, without a Pi and without a camera.
#
# libcamera's "virtual" pipeline shows pictures instead of a sensor's. It is built into Debian 13's libcamera and wants
# memory from a dma-buf heap, which few build machines have; so Debian 13 and its kernel run in a small virtual machine.
# Needs: Debian, amd64, root, about 2 GB of disk. The first run takes some minutes, later ones one.
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

for package in mmdebstrap:mmdebstrap qemu-system-x86:qemu-system-x86_64 e2fsprogs:mke2fs python3-pip:pip3; do
    command -v "${package#*:}" >/dev/null || apt-get install -y --no-install-recommends "${package%:*}"
done

if ! [ -e "$root.complete" ]; then
    # The variables are apt's, and those in the hook are the inner shell's.
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' | grep -v security | head -n 1)
    [ -n "$mirror" ] || fail "apt knows no Debian mirror; add one to /etc/apt/sources.list.d and run apt-get update"
    rm -rf "$root"
    # Of the kernel only the image: what it needs to start from this disk is built in.
    # shellcheck disable=SC2016
    mmdebstrap --quiet --variant=minbase --include=python3,python3-libcamera,python3-prctl \
        --customize-hook='cd "$1/boot" && export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" &&
            apt-get download "$(apt-cache depends linux-image-cloud-amd64 | sed -n "s/.*Depends: \(linux-image\)/\1/p")"' \
        trixie "$root" "$mirror"
    dpkg-deb --fsys-tarfile "$root"/boot/linux-image-*.deb | tar -xO --wildcards './boot/vmlinuz-*' >"$work/vmlinuz"
    rm "$root"/boot/linux-image-*.deb
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
install -m 755 "$here/picamera-virtual-init.sh" "$root/opt/init"
rm -f "$work/disk.img"
mke2fs -q -t ext4 -d "$root" "$work/disk.img" 2G

# Emulated in software throughout: slower, but the same on every machine.
timeout 600 qemu-system-x86_64 -machine q35 -accel tcg -cpu max -smp 2 -m 1536 -display none -serial stdio -no-reboot -net none \
    -kernel "$work/vmlinuz" -append "root=/dev/nvme0n1 rw console=ttyS0 quiet panic=-1 init=/opt/init" \
    -drive "file=$work/disk.img,format=raw,if=none,id=disk" -device nvme,drive=disk,serial=disk \
    </dev/null | tee "$work/log" || fail "the virtual machine did not finish; see $work/log"
rm "$work/disk.img"
grep -q '^picamera-virtual: passed' "$work/log" || fail "failed; see $work/log"
