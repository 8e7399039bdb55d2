#!/bin/sh
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload
# What purge takes: revocations and audit, also as lines of a sink, are the operator's, so they go only when asked for by name.
if [ "$1" = purge ]; then
	# A folder that is a file system of its own stays, and is empty.
	rm -rf /var/lib/usher /var/log/usher || [ -z "$(find /var/lib/usher /var/log/usher -mindepth 1 2>/dev/null)" ]
fi
