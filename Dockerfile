# The services, each as an image of its own that holds one static binary and nothing else:
#
#   docker build --target redactor -t sluice/redactor:dev .
#
# Targets: redactor, sink, notifier, producer, keys. docker-compose.yml builds them all; docs/containers.md has the rest.

# The toolchain; name a copy of it here where this registry is not to be reached.
ARG GO_IMAGE=golang:1.26.8-alpine3.23

FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY . .
# The flags are those of the Makefile: the same commit and toolchain give the same bytes.
ARG VERSION=dev
# Another source of modules than Go's own; empty for that.
ARG GOPROXY
ENV CGO_ENABLED=0 GOTOOLCHAIN=local GOPROXY=${GOPROXY} GOFLAGS="-trimpath -buildvcs=false"
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go build -ldflags "-s -w -X sluice/internal/daemon.Version=${VERSION}" -o /out/bin/ \
    ./producer/cmd/producer ./redactor/cmd/redactor ./sink/cmd/sink ./notifier/cmd/notifier ./internal/cmd/keys
# Where keys puts what each container may read. A new volume takes over the owner and the mode of the folder on which it
# is first mounted, and so the store of the broker is mounted there too, whose image has no folder for it.
RUN cd /out && mkdir -p volumes/keys volumes/nats-data volumes/hand-out && \
    for name in nats clickhouse migrate redactor sink notifier door demo grafana; do mkdir "volumes/hand-out/$name"; done && \
    chmod -R 0750 volumes

# What the services have in common. The certificate authorities are for the notifier's receivers and authentik's API;
# time zones are in the binaries. Nobody's home, no shell, no libc: there is nothing to run but the service.
FROM scratch AS service
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER 10001:10001

FROM service AS redactor
COPY --from=build /out/bin/redactor /bin/redactor
ENV HTTP_ADDR=:8081
EXPOSE 8081
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s CMD ["/bin/redactor", "-health"]
ENTRYPOINT ["/bin/redactor"]

FROM service AS sink
COPY --from=build /out/bin/sink /bin/sink
ENV HTTP_ADDR=:8082
EXPOSE 8082
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s CMD ["/bin/sink", "-health"]
ENTRYPOINT ["/bin/sink"]

FROM service AS notifier
COPY --from=build /out/bin/notifier /bin/notifier
ENV HTTP_ADDR=:8083
EXPOSE 8083
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s CMD ["/bin/notifier", "-health"]
ENTRYPOINT ["/bin/notifier"]

# The HTTP door unless told otherwise: docker run sluice/producer publish … is the command.
FROM service AS producer
COPY --from=build /out/bin/producer /bin/producer
ENV HTTP_ADDR=:8084 PRODUCER_SERVE_ADDR=:8090
EXPOSE 8084 8090
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s CMD ["/bin/producer", "serve", "-health"]
ENTRYPOINT ["/bin/producer"]
CMD ["serve"]

# Makes the keys and certificates that are missing, hands them out and ends.
FROM service AS keys
COPY --from=build /out/bin/keys /bin/keys
COPY --from=build --chown=10001:10001 /out/volumes /
ENV KEYS_DIR=/keys KEYS_HAND_OUT=/hand-out
ENTRYPOINT ["/bin/keys"]
