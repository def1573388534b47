#!/bin/sh
# Turn the checkout's config.yaml (standard input) into an installed one (standard output): what changes over
# time moves to /var/lib/linegate, trusted keys to /etc/linegate/keys; the comments stay, since the file is the manual.
#
#     deploy/settle-config.sh [section.key=value ...] <config.yaml >/etc/linegate/config.yaml
set -eu

kept="model.shelf=/var/lib/linegate/models model.keys=/etc/linegate/keys model.shadow_folder=/var/lib/linegate/shadow
    journal.path=/var/lib/linegate/journal.sqlite archive.folder=/var/lib/linegate/archive"

awk -v wanted="$kept $*" '
    BEGIN {
        count = split(wanted, pairs, " ")
        for (i = 1; i <= count; i++) {
            at = index(pairs[i], "=")
            value[substr(pairs[i], 1, at - 1)] = substr(pairs[i], at + 1)
        }
    }
    /^[a-z_]+:/ { section = $1; sub(/:.*/, "", section) }
    /^  [a-z_]+:/ {
        key = $1; sub(/:.*/, "", key); path = section "." key
        if (path in value) {
            comment = match($0, /  +#.*$/) ? substr($0, RSTART) : ""
            sub(/^ +/, "", comment)
            start = "  " key ": " value[path] (comment ? " " : "")
            printf (length(start) < 34 ? "%-34s%s\n" : "%s %s\n"), start, comment
            done[path] = 1
            next
        }
    }
    { print }
    END {
        for (path in value) if (!(path in done)) {
            print "settle-config.sh: config.yaml has no key " path > "/dev/stderr"
            failed = 1
        }
        exit failed
    }
'
