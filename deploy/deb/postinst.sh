#!/bin/sh
set -e
systemd-sysusers usher.conf
# The folder of the config and its secrets: root writes, usher reads, nobody else.
chown root:usher /etc/usher
chmod 2750 /etc/usher
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	if [ ! -e /run/usher.installed ]; then # an upgrade: what was stopped or disabled stays so
		# A reload has the new version look at the config: it may refuse what the running one has long read.
		if systemctl --quiet is-active usher.service && ! systemctl reload usher.service; then
			echo "usher runs on as the old version, for the new one refuses its config (journalctl -u usher). Mend that, then:"
			echo "  systemctl restart usher"
		else
			systemctl try-restart usher.service
		fi
	elif [ "$(systemctl is-enabled usher.service 2>/dev/null)" = masked ]; then
		echo "usher.service is masked, and is not started."
	elif [ -f /etc/usher/usher.yaml ]; then
		systemctl enable usher.service
		systemctl restart usher.service
	else
		echo "usher has no config yet. Write a first one and start it:"
		echo "  usher init --config /etc/usher/usher.yaml && systemctl enable --now usher"
	fi
	rm -f /run/usher.installed
fi
