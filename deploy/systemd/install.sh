#!/bin/sh
# Install Linegate from this checkout as a systemd service, or bring an installation up to date.
#
#     sudo deploy/systemd/install.sh [options]
#
#     --python PYTHON   the interpreter to build on (default: /usr/bin/python3)
#     --root DIR        install into the file system under DIR; this machine's users and services stay untouched
#     --no-venv         place files only, without the Python environment
#     --dry-run         say what would be done, and do nothing
#     --uninstall       remove program and service; configuration, models and verdicts stay
#     --purge           with --uninstall: remove those too, and the user
#
# Safe to repeat: /etc/linegate/config.yaml and the live model are never overwritten, and the new program
# takes over only when it was installed completely and accepts the configuration.
set -eu

checkout=$(cd "$(dirname "$0")/../.." && pwd)
python=/usr/bin/python3
root='' dry='' venv=yes uninstall='' purge=''

say() { printf '%s\n' "$*"; }

die() {
    printf 'install.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}

usage() { sed -n '2,/^set -eu/{/^#/s/^# \{0,1\}//p;}' "$0"; }

run() { # every change goes through here
    if [ -n "$dry" ]; then
        say "would run: $*"
    else
        "$@"
    fi
}

write() { # standard input to the file $1, at once or not at all
    if [ -n "$dry" ]; then
        cat >/dev/null
        say "would write: $1"
    else
        cat >"$1.incoming"
        mv "$1.incoming" "$1"
    fi
}

on_this_machine() { [ -z "$root" ]; }

booted() { on_this_machine && [ -d /run/systemd/system ]; }

owned() { # hand $2... to the service's user, as far as there is one
    on_this_machine || return 0
    owner=$1
    shift
    run chown -R "$owner" "$@"
}

# --- what is there ------------------------------------------------------------------------------------

look_around() {
    [ -n "$venv" ] || return 0
    command -v "$python" >/dev/null || die "$python: not found; install it (apt-get install python3 python3-venv) or give --python"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "$python is older than 3.11; give another with --python"
    "$python" -c 'import ensurepip' 2>/dev/null || die "$python cannot make environments; apt-get install python3-venv"
}

camera='' output=''
pins=requirements/device.txt
look_for_hardware() { # what comes with the system's Python, because it belongs to the board
    if "$python" -c 'import picamera2' >/dev/null 2>&1; then
        camera=yes
        if "$python" -c 'import sys, numpy; sys.exit(not numpy.__version__.startswith("1."))' 2>/dev/null; then
            pins=requirements/device-numpy1.txt # picamera2 brings its own numpy, and there can be one only
        fi
    fi
    if "$python" -c 'import lgpio' >/dev/null 2>&1; then output=yes; fi
}

release_name() { # the same program on the same interpreter has the same name
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$checkout/pyproject.toml")
    cd "$checkout"
    {
        find edge requirements pyproject.toml -type f ! -name '*.pyc' | LC_ALL=C sort | xargs -d '\n' sha256sum
        "$python" -VV
        say "$camera $output $pins"
    } | sha256sum | sed "s/^\(.\{12\}\).*/$version-\1/"
}

# --- the steps ----------------------------------------------------------------------------------------

make_user() {
    on_this_machine || return 0
    if ! getent passwd linegate >/dev/null; then
        run useradd --system --user-group --home-dir /var/lib/linegate --no-create-home --shell /usr/sbin/nologin linegate
    fi
    for group in gpio apex render; do # only some machines have these; video and plugdev are in the unit
        if getent group "$group" >/dev/null; then run usermod --append --groups "$group" linegate; fi
    done
}

make_folders() {
    run mkdir -p "$root/opt/linegate/releases" "$root/usr/local/bin" "$root/etc/systemd/system"
    run mkdir -p -m 0750 "$root/etc/linegate" "$root/var/lib/linegate" "$root/var/lib/linegate/models"
    owned root:linegate /etc/linegate
    owned linegate:linegate /var/lib/linegate
}

make_release() { # a complete environment in a folder of its own
    if [ -e "$release/.complete" ]; then
        say "program: $(basename "$release") is installed already"
        return 0
    fi
    say "program: installing $(basename "$release")"
    run rm -rf "$release"
    # shellcheck disable=SC2046 # one option, or none
    run "$python" -m venv $([ -z "$camera$output" ] || echo --system-site-packages) "$release"
    run "$release/bin/pip" install --quiet --disable-pip-version-check -r "$checkout/$pins" \
        ${output:+-r "$checkout/requirements/gpio.txt"}
    if [ -n "$dry" ]; then
        say "would run: $release/bin/pip install $checkout"
        return 0
    fi
    source=$(mktemp -d)
    trap 'rm -rf "$source"' EXIT
    cp -R "$checkout/pyproject.toml" "$checkout/README.md" "$checkout/LICENSE" "$checkout/edge" "$source" # a build leaves traces
    "$release/bin/pip" install --quiet --disable-pip-version-check --no-deps "$source"
    if [ -n "$root" ]; then # its files must know the place they will be at
        grep -rlIF "$root/opt/linegate" "$release/bin" "$release/pyvenv.cfg" | xargs -d '\n' sed -i "s|$root/opt/linegate|/opt/linegate|g"
    fi
    touch "$release/.complete"
}

place_config() {
    config=$root/etc/linegate/config.yaml
    settled=$("$checkout/deploy/settle-config.sh" ${camera:+source.kind=picamera} <"$checkout/config.yaml")
    printf '%s\n' "$settled" | write "$config.dist"
    if [ -e "$config" ]; then
        say "configuration: $config is kept; the newest defaults are in config.yaml.dist beside it"
        return 0
    fi
    run cp "$config.dist" "$config"
    run chmod 0640 "$config"
    owned root:linegate "$config"
    if [ -n "$camera" ]; then
        say "configuration: $config, looking through picamera2"
    else
        say "configuration: $config, looking at the simulator, because $python has no picamera2;"
        say "    for a Raspberry Pi camera: apt-get install python3-picamera2, then set source.kind: picamera"
    fi
}

check_config() { # before the new program takes over: the old one goes on when the configuration no longer fits
    on_this_machine && [ -n "$venv" ] || return 0
    run "$release/bin/linegate" check --config "$config" ||
        die "correct $config and run this again; nothing that runs was changed" 78
}

place_models() { # bundles that are not on the device yet; the live model stays live
    shelf=$root/var/lib/linegate/models
    for bundle in "$checkout"/models/*/manifest.json; do
        [ -e "$bundle" ] || continue
        bundle=$(dirname "$bundle")
        slot=$shelf/$(basename "$bundle")
        if [ -L "$bundle" ]; then continue; fi
        if [ -e "$slot" ]; then # it may have come before it was signed
            [ -e "$slot/signature" ] || [ ! -e "$bundle/signature" ] || run cp "$bundle/signature" "$slot/signature"
            continue
        fi
        run cp -R "$bundle" "$shelf/.incoming"
        run mv "$shelf/.incoming" "$slot"
    done
    if [ ! -L "$shelf/current" ] && [ -L "$checkout/models/current" ]; then
        run ln -s "$(readlink "$checkout/models/current")" "$shelf/current"
    elif [ ! -L "$shelf/current" ]; then
        say "models: none is live yet, and the service cannot run without; put one on: linegate models flash BUNDLE"
    fi
    owned linegate:linegate "$shelf"
}

place_keys() { # whose models are taken; root's, so that the daemon cannot trust anybody by itself
    keys=$root/etc/linegate/keys
    if [ -d "$keys" ]; then return 0; fi
    run mkdir "$keys"
    run cp "$checkout"/models/keys/*.pub "$keys"
    run chmod 0755 "$keys"
    run chmod 0644 "$keys"/*.pub
}

take_over() { # from here on a start means the new program
    before=$(readlink "$root/opt/linegate/.venv" || true)
    run ln -sfn "releases/$(basename "$release")" "$root/opt/linegate/.venv.incoming"
    run mv -T "$root/opt/linegate/.venv.incoming" "$root/opt/linegate/.venv"
    run ln -sfn /opt/linegate/.venv/bin/linegate "$root/usr/local/bin/linegate"
    if [ "$before" != "releases/$(basename "$release")" ]; then forget_releases_but "$before"; fi
}

forget_releases_but() { # keep what was live, to go back to, and what is live now
    for old in "$root"/opt/linegate/releases/*; do
        case releases/$(basename "$old") in
        "$1" | "releases/$(basename "$release")" | 'releases/*') ;;
        *) run rm -rf "$old" ;;
        esac
    done
}

place_unit() {
    run cp "$checkout/deploy/systemd/linegate.service" "$root/etc/systemd/system/linegate.service"
    run chmod 0644 "$root/etc/systemd/system/linegate.service"
    if booted; then
        run systemctl daemon-reload
        run systemctl enable --quiet linegate.service
        run systemctl restart linegate.service || die "the service does not start; see: journalctl -u linegate -n 50"
        say "service: linegate runs, also after a reboot; see: systemctl status linegate"
    elif command -v systemctl >/dev/null; then
        run systemctl ${root:+"--root=$root"} enable --quiet linegate.service
        say "service: linegate starts with the next boot"
    else
        say "service: the unit is in place; this machine has no systemctl to enable it"
    fi
}

remove() {
    if booted && [ -e /etc/systemd/system/linegate.service ]; then
        run systemctl disable --quiet --now linegate.service
    elif command -v systemctl >/dev/null && [ -e "$root/etc/systemd/system/linegate.service" ]; then
        run systemctl ${root:+"--root=$root"} disable --quiet linegate.service
    fi
    run rm -rf "$root/opt/linegate" "$root/etc/systemd/system/linegate.service" "$root/usr/local/bin/linegate"
    if booted; then run systemctl daemon-reload; fi
    if [ -z "$purge" ]; then
        say "removed; configuration, models and verdicts stay in $root/etc/linegate and $root/var/lib/linegate (--purge removes them)"
        return 0
    fi
    run rm -rf "$root/etc/linegate" "$root/var/lib/linegate"
    if on_this_machine && getent passwd linegate >/dev/null; then run userdel linegate; fi
    say "removed with configuration, models and verdicts"
}

while [ $# -gt 0 ]; do
    case $1 in
    --python) python=${2:?"--python needs an interpreter"} && shift ;;
    --root) root=${2:?"--root needs a folder"} && shift ;;
    --no-venv) venv='' ;;
    --dry-run) dry=yes ;;
    --uninstall) uninstall=yes ;;
    --purge) purge=yes ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
    esac
    shift
done

if [ -n "$root" ]; then root=$(cd "$root" && pwd) || die "the folder for --root must exist"; fi
if [ "$root" = / ]; then root=''; fi
if on_this_machine && [ -z "$dry" ] && [ "$(id -u)" -ne 0 ]; then die "must run as root; try sudo $0"; fi

if [ -n "$uninstall" ]; then
    remove
    exit 0
fi
look_around
look_for_hardware
release=$root/opt/linegate/releases/$(release_name)
make_user
make_folders
if [ -n "$venv" ]; then make_release; fi
place_config
place_keys
check_config
place_models
if [ -n "$venv" ]; then take_over; fi
place_unit
