SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Absolute, because tests run in the folder of their package.
BIN := $(CURDIR)/bin
# The OpenAPI document, where it lies beside the repository: it is Samsara's and not ours to commit.
SPEC ?= $(wildcard $(abspath ../shared)/samsara-openapi.json)
SPEC_OLD ?= $(wildcard $(abspath ../shared)/samsara-openapi-2024-11-18.json)
# What buf breaking compares with: the API surface that clients were last promised.
BASELINE := proto/baseline.binpb.gz
# A count and not a time: where the time ends while an input is being tried, go test calls that a failure.
FUZZTIME ?= 10000x
ARGS ?=
ROUNDS ?= 5
QUICK ?=
# What the bench measures beside today's gateway: that of the commit PEER, whose name its binary has.
PEER ?=
PEER_COMMIT = $(shell git rev-parse --short --verify --quiet --end-of-options '$(PEER)^{commit}' || echo unknown)
SECTIONS ?=
SERVERS ?=
# The figures of a trial say nothing, and those of a part not all: they do not replace RESULTS.md.
BENCH_OUT := $(if $(QUICK),$(BIN)/bench-quick,$(if $(SECTIONS)$(SERVERS),$(BIN)/bench-part,bench))
BASE ?=
COUNT ?= 6
BENCH ?= .
RECORDS ?= 1000000
KILLS ?= 5
OVERLOAD ?= 60
# Of limits, in percent. A busy machine needs more than the default: it stops processes for longer.
MARGIN ?= 4
PACKAGES = $$(go list ./... | grep -v '^samsara.internal/gateway/gen')

TOOLS := buf ghz golangci-lint grpcurl
TOOL_buf := github.com/bufbuild/buf/cmd/buf
TOOL_ghz := github.com/bojand/ghz/cmd/ghz
TOOL_golangci-lint := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
TOOL_grpcurl := github.com/fullstorydev/grpcurl/cmd/grpcurl

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: bin/gateway ## build bin/gateway

.PHONY: run
run: build ## run the gateway before its sandbox; more flags with ARGS=
	@# The sandbox refuses to run where it looks as if the real API was meant.
	env -u SAMSARA_API_TOKEN bin/gateway --sandbox $(ARGS)

.PHONY: test
test: build bin/bench-micro bin/grpcurl bin/ghz cc deps-test ## run all tests with the race detector
	SAMSARA_TEST_BIN='$(BIN)' SAMSARA_OPENAPI='$(SPEC)' SAMSARA_OPENAPI_OLD='$(SPEC_OLD)' \
		go test -race -timeout 15m $(PACKAGES)
	SAMSARA_TEST_BIN='$(BIN)' go -C bench test ./...

.PHONY: soak
soak: build cc deps-test ## follow a feed of RECORDS through KILLS of the gateway; overload the quota for OVERLOAD seconds
	SAMSARA_TEST_BIN='$(BIN)' SAMSARA_SOAK_RECORDS='$(RECORDS)' SAMSARA_SOAK_KILLS='$(KILLS)' \
		SAMSARA_SOAK_QUOTA_SECONDS='$(OVERLOAD)' SAMSARA_SOAK_QUOTA_MARGIN='$(MARGIN)' \
		go test -race -count 1 -parallel 1 -timeout 1h -v -run '^(TestAFollowedFeedIsComplete|TestTheQuota)' ./cmd/gateway

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME, such as 10m; 10000 inputs unless said otherwise
	@grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' cmd internal service upstream | \
	while IFS=: read -r file func; do \
		echo "$${func#func } in $${file%/*}"; \
		go test -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZTIME) "./$${file%/*}"; \
	done

.PHONY: bench
bench: build bin/bench bin/bench-micro deps-test ## measure beside floors and peers; ROUNDS=5 PEER=<commit> SECTIONS=2kb,goodput SERVERS=gateway; QUICK=1 only tries it
	mkdir -p '$(BENCH_OUT)'
	$(if $(PEER),bench/peer.sh '$(PEER)' 'bin/gateway-$(PEER_COMMIT)')
	bin/bench run --gateway bin/gateway --micro bin/bench-micro --commit "$$(git describe --always --dirty)" --out '$(BENCH_OUT)' \
		$(if $(PEER),--before 'bin/gateway-$(PEER_COMMIT)' --before-commit '$(PEER_COMMIT)') --sections '$(SECTIONS)' --servers '$(SERVERS)' \
		$(if $(QUICK),--rounds 1 --cpu 20ms --micro-time 5ms --flood-time 1s --messages 2,--rounds $(ROUNDS))

.PHONY: bench-ghz
bench-ghz: build bin/ghz ## load the gateway before its sandbox with ghz, into bench/ghz/summary.txt
	env -u SAMSARA_API_TOKEN bin/gateway --sandbox --quota=false --listen 127.0.0.1:50061 --admin-listen= --log-level error & \
	trap "kill $$!" EXIT; \
	for _ in {1..100}; do (: </dev/tcp/127.0.0.1/50061) 2>/dev/null && break; sleep 0.1; done; \
	for config in bench/ghz/*.json; do bin/ghz --config "$$config"; done | tee bench/ghz/summary.txt

.PHONY: bench-compare
bench-compare: ## compare the Go benchmarks with those of the commit BASE=; COUNT=6 BENCH=.
	@bench/compare.sh '$(BASE)' '$(COUNT)' '$(BENCH)'

.PHONY: proto
proto: bin/buf ## write proto/ from the OpenAPI document SPEC=
	@test -n '$(SPEC)' || { echo 'make proto: say which document, as SPEC=path' >&2; exit 1; }
	go run ./cmd/protogen --spec '$(SPEC)' --out proto
	bin/buf format -w
	bin/buf lint

.PHONY: generate
generate: bin/buf ## write gen/ from proto/
	bin/buf generate

.PHONY: checkgenerate
checkgenerate: $(if $(SPEC),proto) generate ## fail unless proto/ and gen/ are as generated and committed
	@test -z "$$(git status --porcelain -- proto gen)" || { \
		git status --short -- proto gen; git --no-pager diff --stat -- proto gen; \
		echo 'make checkgenerate: the above is not as generated, or not committed' >&2; exit 1; }

.PHONY: lint
lint: bin/golangci-lint bin/buf ## lint Go and proto, and refuse changes that break clients
	bin/golangci-lint run
	cd bench && ../bin/golangci-lint run --config ../.golangci.yml
	bin/buf lint
	bin/buf format -d --exit-code
	bin/buf breaking --against $(BASELINE)

.PHONY: baseline
baseline: bin/buf ## promise the present proto/ to clients: breaking changes are refused from then on
	bin/buf build --exclude-source-info -o $(BASELINE)

.PHONY: tidy
tidy: ## fail unless go.mod and go.sum are tidy
	go mod tidy -diff
	go -C tools mod tidy -diff
	go -C bench mod tidy -diff

.PHONY: grpcurl
grpcurl: bin/grpcurl ## run grpcurl with ARGS=
	@bin/grpcurl $(ARGS)

.PHONY: ghz
ghz: bin/ghz ## run ghz with ARGS=
	@bin/ghz $(ARGS)

.PHONY: clean
clean: ## remove what was built
	rm -rf bin

# The go command knows better than make what is up to date.
.PHONY: bin/gateway
bin/gateway:
	go build -trimpath -o $@ ./cmd/gateway

.PHONY: bin/bench
bin/bench:
	go -C bench build -o '$(BIN)/bench' .

.PHONY: bin/bench-micro
bin/bench-micro:
	go -C bench test -c -o '$(BIN)/bench-micro' ./internal/micro

$(TOOLS:%=bin/%): bin/%: tools/go.mod tools/go.sum
	go -C tools build -o '$(BIN)/' $(TOOL_$*)
	@touch $@

# The race detector needs a C compiler.
.PHONY: cc
cc:
	@command -v "$$(go env CC)" >/dev/null || { apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev; }

# The tests start a server of their own; the one that the package may have started is not left.
.PHONY: deps-test
deps-test: ## install what the tests start: redis-server
	@command -v redis-server >/dev/null || { \
		apt-get update && apt-get install -y --no-install-recommends redis-server && \
		{ service redis-server stop; update-rc.d redis-server disable; } || :; }
	@command -v redis-server >/dev/null
