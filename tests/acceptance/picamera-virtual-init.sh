#!/bin/sh
# The first and only process of the virtual machine: run the checks, then switch off.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp

# picamera2 asks for the Pi's heap by name; here the system's heap answers to it.
ln -s system "/dev/dma_heap/linux,cma"

# The virtual pipeline of libcamera 0.4.0 never writes a frame's status: memory must read as zero, "success".
cd /opt/linegate || exit 1
MALLOC_PERTURB_=255 PYTHONPATH=/opt/linegate:/opt/packages LIBCAMERA_LOG_LEVELS='*:ERROR' \
    PYTHONDONTWRITEBYTECODE=1 PYTHON_COLORS=0 python3 -X faulthandler picamera_virtual.py && echo "picamera-virtual: passed"

sync
echo o >/proc/sysrq-trigger
sleep 60
