# Sluice. `make` alone prints the targets. GNU make 3.81 and a POSIX shell are enough.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
unexport GOWORK # of the shell: go finds go.work by itself, and where it should not, that is said

# Settings, as in `make test MODULES="sink redactor"`.
ARGS      =
MODULES   = $(shell sed -n 's|^[[:space:]]*\./||p' go.work)
TESTFLAGS =
FUZZTIME  = 30s
BENCH     = .
BENCHFLAGS =

SERVICES := producer redactor sink notifier standalone
COMMANDS := $(foreach service,$(SERVICES),./$(service)/cmd/$(service))
ENGINE   := ./standalone/cmd/clickhouse-embedded
KEYS     := ./internal/cmd/keys
# The broker as a process of its own, in the version that go.mod names: for clusters, containers and tests.
BROKER   := github.com/nats-io/nats-server/v2

# What a release is built for.
PLATFORMS = linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
# Our own tools of the supply chain, which are built as they are needed.
SUPPLY   := GOWORK=off CGO_ENABLED=0 go build -C tools -trimpath -buildvcs=false -ldflags '-s -w' -o ../bin/tools/

VERSION = $(shell git describe --always --dirty 2>/dev/null || echo dev)
LDFLAGS = -s -w -X sluice/internal/daemon.Version=$(VERSION)

# All that is not for the race detector is compiled in one way, so that it is compiled once: without cgo (static
# binaries), with paths trimmed (nobody's home directory in a binary), the version from LDFLAGS instead of Go's own stamp
# (which fails where git mistrusts the folder's owner).
PLAIN := CGO_ENABLED=0 GOFLAGS="$$(go env GOFLAGS) -trimpath -buildvcs=false"

# What is missing is said before anything starts. npm is for the engine alone.
NEEDS := need-go $(if $(CHDB_LIB_PATH),,need-npm)

.PHONY: help
help: ## Print this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-16s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: $(NEEDS) engine build ## Build and start everything in one process, with the demo (ARGS="..." goes on its command line)
	@exec bin/standalone -demo $(ARGS)

.PHONY: build
build: need-go ## Build the static binaries into bin/
	@$(PLAIN) go build -ldflags '$(LDFLAGS)' -o bin/ $(COMMANDS) $(ENGINE) $(KEYS)
	@$(PLAIN) go build -ldflags '-s -w' -o bin/ $(BROKER)
	@echo "built $(VERSION) in bin/: $(notdir $(COMMANDS) $(ENGINE) $(KEYS)) nats-server"

.PHONY: engine
engine: $(filter need-npm,$(NEEDS)) ## Install the embedded ClickHouse (skipped when CHDB_LIB_PATH names one)
	@tools/engine.sh

.PHONY: keys
keys: need-go ## Make the keys and certificates that are missing (KEYS_DIR=deploy/keys, TENANTS="default acme", KEYS_NAMES=further names of the servers)
	@export KEYS_DIR='$(or $(KEYS_DIR),deploy/keys)' TENANTS='$(or $(TENANTS),default)' KEYS_NAMES='$(KEYS_NAMES)'; \
	$(PLAIN) go run $(KEYS)

# The versions are those that docs/publishing.md was tried with.
.PHONY: clients
clients: need-go need-npm ## Install the NATS clients of docs/publishing.md into bin/clients, for e2e to try them
	@mkdir -p bin/clients && \
	npm install --prefix bin/clients --no-save --no-audit --no-fund @nats-io/transport-node@3.4.0 @nats-io/jetstream@3.4.0 && \
	GOBIN="$(CURDIR)/bin/clients" CGO_ENABLED=0 go install github.com/nats-io/natscli/nats@v0.5.1

# The e2e tests start the binaries in SLUICE_BIN, built like the tests themselves; the engine's process always goes without
# the race detector, which would watch a C++ library. Two packages at a time, since they start servers, and e2e alone, after
# the rest; those that take longest begin first, so that none goes on alone. A NATS_URL or CLICKHOUSE_URL of the shell
# would lead the tests to somebody's real server.
.PHONY: test
test: $(NEEDS) engine build ## Test all modules, e2e last (MODULES="sink redactor" for some, TESTFLAGS="-v -run X" for go test)
	@unset NATS_URL CLICKHOUSE_URL; \
	race=$$(tools/race.sh) || exit; \
	SLUICE_BIN="$(CURDIR)/bin"; \
	if [ -n "$$race" ]; then \
		SLUICE_BIN="$$SLUICE_BIN/race"; \
		go build -race -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/race/ $(COMMANDS) || exit; \
		ln -f bin/clickhouse-embedded bin/nats-server bin/keys bin/race/ || exit; \
	else \
		export CGO_ENABLED=0; \
	fi; \
	: "$${CHDB_LIB_PATH:=$$(ls "$(CURDIR)"/standalone/engine/node_modules/@chdb/lib-*/libchdb.*)}"; \
	export SLUICE_BIN CHDB_LIB_PATH; \
	status=0; \
	for group in "$(filter sink notifier,$(MODULES)) $(filter-out sink notifier e2e,$(MODULES))" "$(filter e2e,$(MODULES))"; do \
		case $$group in \
		' ' | '') continue ;; \
		e2e) limit='-timeout 12m -count=1' ;; \
		*) limit='-timeout 10m' ;; \
		esac; \
		go test $$race -p 2 $$limit $(TESTFLAGS) $$(printf './%s/... ' $$group) || status=1; \
	done; \
	exit $$status

.PHONY: containers-test
containers-test: $(NEEDS) engine build ## Run docker-compose.yml in containers, without a registry (podman, runc, podman-compose; as root)
	@deploy/containers/test.sh
# Faults. The clocks of bin/clock's binaries can be set while they run (e2e/faults/clock.go), which costs a compilation of
# everything. With root on Linux the broker's store is a file system of its own, to be filled and to lose its power.
CLOCKED  := $(foreach service,redactor sink notifier,./$(service)/cmd/$(service)) $(BROKER)
SEED      = 1
DURATION  = 2h
RATE      = 1000

.PHONY: faults-build
faults-build: $(NEEDS) engine build
	@$(PLAIN) go build -o bin/ ./e2e/faults/cmd/faults
	@mkdir -p bin/clock/overlay && overlay=$$(bin/faults -clock-overlay bin/clock/overlay -goroot "$$(go env GOROOT)") && \
	$(PLAIN) go build -overlay "$$overlay" -ldflags '$(LDFLAGS)' -o bin/clock/ $(CLOCKED)

.PHONY: faults
faults: faults-build ## Run the fault suite for some three minutes: every kind of fault, the seeds that have found something
	@: "$${CHDB_LIB_PATH:=$$(ls "$(CURDIR)"/standalone/engine/node_modules/@chdb/lib-*/libchdb.*)}"; export CHDB_LIB_PATH; \
	SLUICE_BIN="$(CURDIR)/bin" FAULTS_CLOCK_BIN="$(CURDIR)/bin/clock" FAULTS_KINDS=all FAULTS_SEEDS=2 FAULTS_EVENTS=40000 FAULTS_COUNT=30 \
	CGO_ENABLED=0 go test ./e2e/faults -run '^TestFaults$$' -v -count=1 -timeout 30m

.PHONY: soak
soak: faults-build ## Run the fault suite for long, and write bin/soak.md (DURATION=2h, SEED=1, RATE=1000 events a second)
	@: "$${CHDB_LIB_PATH:=$$(ls "$(CURDIR)"/standalone/engine/node_modules/@chdb/lib-*/libchdb.*)}"; export CHDB_LIB_PATH; \
	bin/faults -seed $(SEED) -duration $(DURATION) -rate $(RATE) -batch 1000 -bin bin -clock-bin bin/clock -report bin/soak.md

.PHONY: faults-mutations
faults-mutations: $(NEEDS) engine build ## Break four promises on purpose and see that the fault suite notices each
	@: "$${CHDB_LIB_PATH:=$$(ls "$(CURDIR)"/standalone/engine/node_modules/@chdb/lib-*/libchdb.*)}"; export CHDB_LIB_PATH; \
	SLUICE_BIN="$(CURDIR)/bin" FAULTS_MUTATIONS=1 CGO_ENABLED=0 go test ./e2e/faults -run '^TestMutations$$' -v -count=1 -timeout 30m

.PHONY: redaction-report
redaction-report: need-go ## Judge the redactor by its corpus, into docs/redaction-report.md (GITLEAKS=path to compare with it)
	@cd redactor && go run ./cmd/redaction-report -o ../docs/redaction-report.md $(if $(GITLEAKS),-gitleaks '$(GITLEAKS)')

.PHONY: schemas
schemas: need-go ## Write what follows from schemas/: event.json, asyncapi.json and docs/schemas.md
	@cd schemas && go run ./cmd/contract -root ..

.PHONY: check
check: need-go tools fmt-check vet lint tidy-check licences ## Check formatting, vet, lint, licences, and that each module builds and tidies on its own

.PHONY: fmt
fmt: tools ## Format the code and group its imports
	@bin/tools/gofumpt -w $(MODULES)
	@bin/tools/golangci-lint fmt $(MODULES)

.PHONY: fmt-check
fmt-check: tools
	@echo "gofumpt"; \
	if [ -n "$$(bin/tools/gofumpt -l $(MODULES))" ]; then \
		bin/tools/gofumpt -d $(MODULES); \
		echo "not formatted as above: run make fmt" >&2; \
		exit 1; \
	fi

.PHONY: vet
vet: need-go
	@echo "go vet"; $(PLAIN) go vet $(foreach module,$(MODULES),./$(module)/...)

.PHONY: lint
lint: tools ## Run golangci-lint on each module
	@status=0; \
	for module in $(MODULES); do \
		[ -n "$$(find $$module -name '*.go' | head -n 1)" ] || continue; \
		echo "golangci-lint $$module"; \
		(cd $$module && $(PLAIN) ../bin/tools/golangci-lint run ./...) || status=1; \
	done; \
	exit $$status

# Inside the workspace a missing require or replace goes unseen. A module asking for a newer Go than go.work stops everything.
.PHONY: tidy-check
tidy-check: need-go
	@status=0; \
	for module in $(MODULES); do \
		echo "GOWORK=off build, tidy $$module"; \
		(cd $$module && export GOWORK=off && $(PLAIN) go build -o /dev/null ./... && go mod tidy -diff) || status=1; \
		grep -q "^go $$(sed -n 's/^go //p' go.work)$$" $$module/go.mod || \
			{ echo "$$module/go.mod: its go line differs from that of go.work" >&2; status=1; }; \
	done; \
	[ $$status = 0 ] || echo "if only a diff is shown: run make tidy" >&2; \
	exit $$status

.PHONY: tidy
tidy: need-go ## Tidy go.mod and go.sum of each module
	@for module in $(MODULES) tools bench/peers/otelcol; do (cd $$module && GOWORK=off go mod tidy) || exit; done

.PHONY: fuzz
fuzz: need-go ## Run each fuzz test in turn (FUZZTIME=30s each)
	@grep -r --include='*_test.go' '^func Fuzz' $(MODULES) | \
	sed -n 's|^\(.*\)/[^/]*:func \(Fuzz[A-Za-z0-9_]*\)(.*|\1 \2|p' | \
	while read -r package name; do \
		echo "fuzz $$package $$name"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) ./$$package </dev/null || exit; \
	done

.PHONY: microbench
microbench: need-go ## Run the Go benchmarks (BENCH=regexp for some)
	@go test -run '^$$' -bench '$(BENCH)' -benchmem -p 1 $(foreach module,$(MODULES),./$(module)/...)

# The binaries are the shipped ones, without the race detector. What is not built, such as the peers, is left out and said.
# A CLICKHOUSE_URL of the shell is the server to measure with.
.PHONY: bench
bench: $(NEEDS) engine build ## Measure the stages, end to end, latencies and peers into bench/RESULTS.md (BENCHFLAGS="-h" for what can be set)
	@$(PLAIN) go build -o bin/ ./bench/cmd/bench && \
	: "$${CHDB_LIB_PATH:=$$(ls "$(CURDIR)"/standalone/engine/node_modules/@chdb/lib-*/libchdb.*)}" && \
	export CHDB_LIB_PATH && bin/bench -bin bin -out bench $(BENCHFLAGS)

# A module of its own outside the workspace, since what it brings is heavy.
.PHONY: bench-peers
bench-peers: need-go ## Build the peers that make bench compares with into bin/peers (takes some minutes)
	@echo "bench-peers: building an OpenTelemetry Collector"; \
	mkdir -p bin/peers && \
	GOWORK=off CGO_ENABLED=0 go build -C bench/peers/otelcol -trimpath -buildvcs=false -ldflags '-s -w' -o ../../../bin/peers/otelcol .

# Built again when a version in tools/go.mod changes, or Go: a linter built by an older Go cannot read a newer one's packages.
.PHONY: tools
tools: need-go ## Build gofumpt and golangci-lint, as pinned in tools/go.mod, into bin/tools/
	@wanted="$$(go env GOVERSION) $$(cat tools/go.mod tools/go.sum | cksum)"; \
	[ "$$(cat bin/tools/.built 2>/dev/null)" = "$$wanted" ] && exit; \
	echo "tools: building gofumpt and golangci-lint, which takes some minutes the first time"; \
	mkdir -p bin/tools && \
	GOWORK=off CGO_ENABLED=0 go build -C tools -trimpath -buildvcs=false -ldflags '-s -w' -o ../bin/tools/ mvdan.cc/gofumpt github.com/golangci/golangci-lint/v2/cmd/golangci-lint && \
	echo "$$wanted" >bin/tools/.built

# What goes into the binaries, on every platform, has to be under a licence that tools/licences/main.go lists. Offline.
.PHONY: licences
licences: need-go ## Check the licences of what goes into the binaries, and the tools that do so
	@GOWORK=off CGO_ENABLED=0 go test -C tools ./modules ./release && \
	$(SUPPLY) ./licences && bin/tools/licences -platforms '$(PLATFORMS)' $(COMMANDS) $(ENGINE) $(BROKER)

# It ends well where the database cannot be reached, since that says nothing about the code, and says so in its last line;
# VULNDB=https://... asks another one, VULNCHECK_STRICT=1 makes it an error. A vulnerability that is called is an error.
.PHONY: vulncheck
vulncheck: need-go ## Look for known vulnerabilities that the code calls, where their database can be reached
	@GOWORK=off CGO_ENABLED=0 go build -C tools -trimpath -buildvcs=false -ldflags '-s -w' -o ../bin/tools/ golang.org/x/vuln/cmd/govulncheck && \
	tools/vulncheck.sh $(MODULES)

# Everything that the bytes depend on is said here: the same commit and the same Go give the same archives anywhere.
.PHONY: release
release: need-go ## Build reproducible archives with bills of materials and checksums into dist/ (PLATFORMS="linux/amd64" for some)
	@rm -rf dist && mkdir -p dist && $(SUPPLY) ./licences ./release && \
	for platform in $(PLATFORMS); do \
		out="$(CURDIR)/dist/build/$$(echo "$$platform" | tr / _)/"; mkdir -p "$$out"; \
		export GOOS="$${platform%/*}" GOARCH="$${platform#*/}" GOAMD64=v1 GOARM64=v8.0 GOEXPERIMENT= CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false -mod=readonly'; \
		echo "release: building for $$platform"; \
		go build -ldflags '$(LDFLAGS)' -o "$$out" $(COMMANDS) $(ENGINE) && go build -ldflags '-s -w' -o "$$out" $(BROKER) || exit; \
	done; \
	unset GOOS GOARCH GOFLAGS; \
	bin/tools/licences -notices -platforms '$(PLATFORMS)' $(COMMANDS) $(ENGINE) $(BROKER) >dist/build/notices && \
	bin/tools/release -version '$(VERSION)' -platforms '$(PLATFORMS)' -notices dist/build/notices $(COMMANDS) $(ENGINE) $(BROKER) && \
	rm -rf dist/build

.PHONY: release-check
release-check: need-go ## Make the release twice, in two clones of the last commit, and compare (some minutes)
	@tools/release-check.sh '$(PLATFORMS)'

.PHONY: clean
clean: ## Remove what was built (bin/, dist/), but not ./data
	rm -rf bin dist

.PHONY: distclean
distclean: clean ## Remove the embedded ClickHouse too
	rm -rf standalone/engine/node_modules

.PHONY: need-go need-npm
need-go need-npm: need-%:
	@tools/need.sh $*
