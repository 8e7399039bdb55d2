#!/bin/sh
set -e
systemd-sysusers usher.conf
# The folder of the config and its secrets: root writes, usher reads, nobody else.
chown root:usher /etc/usher
chmod 2750 /etc/usher
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	if [ ! -e /run/usher.installed ]; then # an upgrade: what was stopped or disabled stays so
		systemctl try-restart usher.service
	elif [ -f /etc/usher/usher.yaml ]; then
		systemctl enable usher.service
		systemctl restart usher.service
	else
		echo "usher has no config yet. Write a first one and start it:"
		echo "  usher init --config /etc/usher/usher.yaml && systemctl enable --now usher"
	fi
	rm -f /run/usher.installed
fi
