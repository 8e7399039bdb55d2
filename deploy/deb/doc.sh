#!/bin/sh
# Writes into dist/doc what Debian wants beside a program: its manual page, what is new, and the licenses of all that is
# linked into it. $VERSION is the package's.
set -eu
mkdir -p dist/doc
gzip -9n <deploy/deb/usher.1 >dist/doc/usher.1.gz
gzip -9n <CHANGELOG.md >dist/doc/NEWS.md.gz

gzip -9n >dist/doc/changelog.gz <<END
usher ($VERSION) unstable; urgency=medium

  * What is new for users is told in NEWS.md.gz.

 -- $(sed -n 's/^maintainer: //p' deploy/nfpm.yaml)  $(git log -1 --format=%cD 2>/dev/null || date -R)
END

{
	echo "$(go env GOROOT)" go
	go list -deps -f '{{with .Module}}{{if .Version}}{{.Dir}} {{.Path}} {{.Version}}{{end}}{{end}}' ./cmd/usher | sort -u
} | while read -r dir name; do
	printf '\n==== %s\n\n' "$name"
	find "$dir" -maxdepth 1 \( -iname 'licen*' -o -iname 'copying*' -o -iname 'notice*' \) -exec cat {} +
done | gzip -9n >dist/doc/licenses.gz
