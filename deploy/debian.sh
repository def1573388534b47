# Read by scripts that make a Debian root: where this machine installs from. Asked at run time, so that no mirror
# and no package index is written into the project. Needs apt; the caller defines die().
# shellcheck shell=sh

mirror() { # the archive that this machine installs from; $1: main or security
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

debian() { # a minimal root of suite $1 in the file or folder $2; the rest are options of mmdebstrap
    suite=$1 target=$2
    shift 2
    options=$(mktemp)
    apt_options >"$options"
    security=$(mirror security)
    {
        printf 'deb %s %s main\n' "$(mirror main)" "$suite"
        [ -z "$security" ] || printf 'deb %s %s-security main\n' "$security" "$suite"
    } | mmdebstrap --quiet --variant=minbase --aptopt="$options" "$@" "$suite" "$target" - ||
        die "mmdebstrap could not make a Debian $suite in $target"
    rm -f "$options"
}

lend_pip_settings() { # this machine's way to its package index, for /etc/xdg/pip of a container, in the folder $1
    mkdir -p "$1"
    if [ -f /etc/pip.conf ]; then
        sed '/^cert *=/d' /etc/pip.conf >"$1/pip.conf"
    else
        echo '[global]' >"$1/pip.conf"
    fi
    if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
        cp /etc/ssl/certs/ca-certificates.crt "$1/ca.crt"
        sed -i 's|^\[global\]|&\ncert = /etc/xdg/pip/ca.crt|' "$1/pip.conf"
    fi
}
