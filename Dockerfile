# usher as an image: one static binary, no shell, not root. Build it with
#   docker build --build-arg VERSION="$(git describe --tags --always)" -t usher .
FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd ./cmd
COPY internal ./internal
ARG TARGETOS TARGETARCH VERSION=unknown
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/usher ./cmd/usher \
 && mkdir /out/data

# static: CA certificates and time zones, nothing else. nonroot: user 65532.
FROM gcr.io/distroless/static-debian12:nonroot
LABEL org.opencontainers.image.title="usher" \
      org.opencontainers.image.description="Token door-keeper for Prosody and Jitsi Meet" \
      org.opencontainers.image.source="https://github.com/usher-im/usher" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/usher /usr/bin/usher
# Prosody's side, for those who take it out of the image: docker cp $(docker create usher):/usr/share/usher/prosody .
COPY lua/*.lua /usr/share/usher/prosody/
COPY LICENSE /usr/share/doc/usher/
# A volume takes owner and mode from here.
COPY --from=build --chown=65532:65532 --chmod=0700 /out/data /var/lib/usher
USER 65532:65532
# 9160: Prosody asks here. 9161: CLI, API, metrics.
EXPOSE 9160 9161
HEALTHCHECK --interval=10s --timeout=4s --start-period=10s --retries=3 CMD ["/usr/bin/usher", "healthcheck"]
ENTRYPOINT ["/usr/bin/usher"]
CMD ["serve"]
