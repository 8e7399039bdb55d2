#!/bin/sh
set -e
# For postinst, which is told the last version after a removal as well as in an upgrade. A removal disables the unit.
if [ "$1" = install ] && [ -d /run/systemd/system ]; then
	: >/run/usher.installed
fi
