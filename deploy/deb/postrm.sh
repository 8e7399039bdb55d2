#!/bin/sh
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload
# What purge takes: revocations and audit, also as lines of a sink, are the operator's, so they go only when asked for by name.
if [ "$1" = purge ]; then
	rm -rf /var/lib/usher /var/log/usher
fi
