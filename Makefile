# The two that matter: make demo, make test. `make help` lists all.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build deb demo test unit e2e lint bench profile latency chaos fuzz clean

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LUA := lua internal/bench/join/modules internal/e2e/prosody/modules internal/e2e/testdata/modules

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/usher, static
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/usher ./cmd/usher

# A Debian version begins with a digit and sorts: a tag, +commits since it, or 0.0.0~commits where there is no tag yet.
NFPM := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
deb: build ## dist/usher_VERSION_ARCH.deb; GOARCH=arm64 for the other kind of machine
	@mkdir -p dist
	@export VERSION=$$(sed -E 's/^v([0-9])/\1/; s/-([0-9]+)-g/+\1.g/; /^[0-9]+\./!s/^/0.0.0~'"$$(git rev-list --count HEAD 2>/dev/null || echo 0)"'.g/' <<<'$(VERSION)') \
		ARCH=$$(go env GOARCH) SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null || date +%s); \
	sh deploy/deb/doc.sh; \
	GOARCH= GOOS= go run $(NFPM) package --config deploy/nfpm.yaml --packager deb --target dist/

demo: ## from nothing to a join allowed, one denied and a token revoked, told on the terminal
	@.ci/setup demo
	@$(MAKE) --no-print-directory build
	@go run ./deploy/demo

test: ## install what the tests need and run them all, on Prosody 0.12 and 13
	@.ci/setup test
	luacheck -q --no-color $(LUA)
	busted
	go vet ./...
	go test -race -timeout 10m $$(go list ./... | grep -v internal/e2e)
	@# Memory and deadlines are judged without the race detector, which takes its own share of both.
	go test -run 'Flood|NoMemory' ./internal/keys ./internal/audit/sqlitestore
	@# What make bench runs, once each: nothing else would notice one that no longer works.
	go test -run '^$$' -bench . -benchtime 1x ./internal/bench ./internal/server
	go test -timeout 15m -p 1 ./internal/e2e/...

unit: ## the Go tests without the end-to-end ones, which need Prosody
	go test $$(go list ./... | grep -v internal/e2e)

e2e: ## the end-to-end tests alone
	@.ci/setup test
	go test -timeout 18m -p 1 ./internal/e2e/...

lint: ## gofmt, vet, staticcheck, govulncheck, luacheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
		[ -z "$$unformatted" ] || { echo "gofmt -w wanted: $$unformatted"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	luacheck -q --no-color $(LUA)
	@# Exit code 3 means holes were found, any other that the database was out of reach.
	go tool govulncheck ./... || { [ $$? -ne 3 ] && echo "govulncheck could not run: known holes were NOT looked for"; }

QUICK ?=
PARTS ?=
bench: ## measure beside the floors, into dist/bench: QUICK=1 for a look, PARTS="decide http" for some of it
	@.ci/setup bench
	@mkdir -p dist/bench
	go build -o dist/bench/bench ./internal/bench/cmd
	dist/bench/bench run $(if $(QUICK),--quick) $(PARTS)

PROFILE ?= --plan seen
profile: ## where the verify path spends its time: PROFILE="--plan new --alg ES256", PROFILE=--prosody for the shim's share, --instructions for its count
	@.ci/setup bench
	@mkdir -p dist/bench
	go build -o dist/bench/bench ./internal/bench/cmd
	dist/bench/bench profile $(PROFILE)

latency: ## from an acknowledged revocation to denied, out and closed: 1,000 of them on three nodes
	@.ci/setup test
	go test -count=1 -v -timeout 10m -run '^TestLatency' ./internal/e2e/revoke -args -revocations=1000 -goals

chaos: ## a minute of crashing Redis and four failovers, under load: stores alone, then whole nodes
	@.ci/setup test
	go test -count=1 -v -tags chaos -timeout 15m -run '^TestChaos' ./internal/revocation/redisstore
	go test -count=1 -v -timeout 15m -run '^TestChaos' ./internal/e2e/revoke -args -turmoil=60s -failovers=4

FUZZTIME ?= 30s
fuzz: ## each fuzz test for FUZZTIME (30s)
	@go list ./... | while read -r package; do \
		go test -list '^Fuzz' "$$package" | { grep '^Fuzz' || true; } | while read -r name; do \
			echo "$$package $$name"; \
			go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) "$$package"; \
		done; \
	done

clean: ## remove what was built (.cache keeps Prosody 13)
	rm -rf bin dist
