SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
# The prerequisites of a target are made in the order in which it names them. The go command uses all cores.
.NOTPARALLEL:

# These flags are used in every build, so that the release, the tests, vet and the linters share a cache.
# With its trace, grpc links text/template (see checklinked). Only the race detector needs a C compiler.
export GOFLAGS := $(shell go env GOFLAGS) -trimpath -tags=grpcnotrace
export CGO_ENABLED := 0

# The path is absolute, because tests run in the folder of their package.
BIN := $(CURDIR)/bin
# The OpenAPI document, if it is beside the repository: it is Samsara's, so it is not committed.
SPEC ?= $(wildcard $(abspath ../shared)/samsara-openapi.json)
SPEC_OLD ?= $(wildcard $(abspath ../shared)/samsara-openapi-2024-11-18.json)
# SDK_RELEASE is the release of Samsara's SDK that has SPEC; by default the one of the last run. ACCEPT has
# the kinds of changes, retyped or wrapped, that make proto may write because somebody has looked at them.
SDK_RELEASE ?=
ACCEPT ?=
# buf breaking compares with this: the API surface that clients were last promised.
BASELINE := proto/baseline.binpb.gz
# A count and not a time: if a time ends while an input is being tried, go test calls that a failure.
FUZZTIME ?= 10000x
ARGS ?=
ROUNDS ?= 5
QUICK ?=
# The bench also measures the gateway of the commit PEER. Its binary is named after the commit.
PEER ?=
PEER_COMMIT = $(shell git rev-parse --short --verify --quiet --end-of-options '$(PEER)^{commit}' || echo unknown)
SECTIONS ?=
SERVERS ?=
# The figures of a trial say nothing, and those of some sections or servers not everything: they do not
# replace RESULTS.md.
BENCH_OUT := $(if $(QUICK),$(BIN)/bench-quick,$(if $(SECTIONS)$(SERVERS),$(BIN)/bench-part,bench))
BASE ?=
COUNT ?= 6
BENCH ?= .
RECORDS ?= 1000000
KILLS ?= 5
# How often each client that ends with unread answers connects again.
CYCLES ?= 100
OVERLOAD ?= 60
# The margin of limits, in percent. A busy machine needs more than the default: it stops processes for longer.
MARGIN ?= 4
# The packages of make sdk: which, of which areas (by default all), and their names. make examples takes LANGS
# for languages.
LANGS ?=
AREAS ?=
GO_MODULE ?=
NPM_SCOPE ?=
MAVEN_GROUP ?=
# More flags of go test, such as -count=1.
TESTFLAGS ?=
# The commits whose subjects are checked; if empty, all since the rule applies.
RANGE ?=
# make check lints the packages that were changed since this commit.
SINCE ?= $(shell git merge-base HEAD main 2>/dev/null || echo HEAD)
# The programs that tests may start. No test builds anything.
PROGRAMS := bin/gateway bin/bench bin/bench-micro bin/buf bin/ghz bin/grpcurl
TEST := SAMSARA_TEST_BIN='$(BIN)' SAMSARA_OPENAPI='$(SPEC)' SAMSARA_OPENAPI_OLD='$(SPEC_OLD)'
# folders PATTERN: the folders that have tests whose names match.
folders = $$(grep -rlE --include='*_test.go' '^func $(1)' cmd internal service upstream | xargs -rn1 dirname | sed 's|^|./|' | sort -u)

# The other modules: gen is for callers, who need little; the rest has dependencies that the gateway does
# not have. examples/go is none of them: it needs the package of make sdk.
MODULES := gen bench tools tools/dashboard tools/conformance tools/conformance/reference tools/deploy

# Misspelt words that stay: two are in Samsara's values, and tests look for two.
MISSPELT := celcius,nmae,occurance,vehicels

# The folders whose ...Locked methods are checked.
LOCKED := internal/feed internal/lease internal/quota service upstream

TOOLS := buf cyclonedx-gomod ghz golangci-lint grpcurl misspell
TOOL_buf := github.com/bufbuild/buf/cmd/buf
TOOL_cyclonedx-gomod := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
TOOL_ghz := github.com/bojand/ghz/cmd/ghz
TOOL_golangci-lint := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
TOOL_misspell := github.com/golangci/misspell/cmd/misspell
TOOL_grpcurl := github.com/fullstorydev/grpcurl/cmd/grpcurl

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

comma := ,
PACKAGES = $(or $(subst $(comma), ,$(LANGS)),image go python npm maven rust)
# Whose tools are installed into bin/packages.
INSTALLED_PACKAGES = $(patsubst %,bin/packages/%/installed,$(filter maven npm python,$(PACKAGES)))
# The languages that protoc knows by itself, and all that make test-languages tries. It takes code of packages too.
PROTOC := cpp csharp java kotlin objc php python ruby
LANGUAGES = $(or $(subst $(comma), ,$(LANGS)),$(PROTOC) go rust typescript)
LANGUAGES_SDK = $(patsubst java,maven,$(patsubst typescript,npm,$(filter java rust typescript,$(LANGUAGES))))
SNIPPETS = $(or $(subst $(comma), ,$(LANGS)),cpp csharp go grpc-js java kotlin php python ruby rust typescript)
EXAMPLES = $(or $(subst $(comma), ,$(LANGS)),$(patsubst examples/%/run.sh,%,$(wildcard examples/*/run.sh)))
# The package that the example or snippet of a language installs, if it has another name.
PACKAGE_cpp := image
PACKAGE_csharp := image
PACKAGE_grpc-js := npm
PACKAGE_java := maven
PACKAGE_kotlin := maven
PACKAGE_php := image
PACKAGE_ruby := image
PACKAGE_typescript := npm
# What packages and examples need on the machine, see tools/deps.sh.
NEEDS_cpp := c++ cmake grpc++ protoc
NEEDS_csharp := mcs
NEEDS_grpc-js := node npm
NEEDS_java := javac mvn
NEEDS_kotlin := javac mvn
NEEDS_maven := javac mvn
NEEDS_npm := node npm
NEEDS_php := php
NEEDS_python := python3
NEEDS_ruby := ruby
NEEDS_rust := cargo cc
NEEDS_typescript := node npm

.PHONY: build
build: bin/gateway ## build bin/gateway

.PHONY: run
run: build ## run the gateway before its sandbox; more flags with ARGS=
	@# The sandbox refuses to run if a token suggests that the real API was meant.
	env -u SAMSARA_API_TOKEN bin/gateway --sandbox $(ARGS)

.PHONY: check
check: ## check in a minute: subjects, names of tests, spelling, format, vet, lint of what changed since SINCE=, and the short tests
	@TIMEFORMAT='make check: %R s, CPU %U s user and %S s system'; time $(MAKE) subjects testnames spelling format vet lint-changed test-short checklinked

.PHONY: format
format: bin/golangci-lint ## fail unless all Go files are formatted
	bin/golangci-lint fmt --diff

.PHONY: subjects
subjects: ## fail unless the subjects of commits follow CONTRIBUTING.md; RANGE=origin/main..
	@tools/subjects.sh $(RANGE)

.PHONY: testnames
testnames: ## fail unless tests are named TestThing_condition, in at most 60 characters
	@tools/testnames.sh

.PHONY: spelling
spelling: bin/misspell ## fail if code, a comment or a document has a word that is known to be misspelt; tools/words.csv adds some
	@git ls-files -z -- '*.go' '*.md' '*.proto' '*.sh' '*.yaml' Makefile ':!gen' ':!**/testdata/**' | \
		xargs -0 bin/misspell -error -dict tools/words.csv -i '$(MISSPELT)'

.PHONY: vet
vet: ## vet all Go packages
	go vet ./...
	@for module in $(MODULES); do (set -x; go -C $$module vet ./...); done

# Linters that check one package do not need the packages that import it: vet compiles these.
.PHONY: lint-changed
lint-changed: bin/golangci-lint ## lint the Go packages that were changed since SINCE=
	@git rev-parse --verify --quiet --end-of-options '$(SINCE)^{commit}' >/dev/null || { echo 'make $@: SINCE=$(SINCE): must be a commit' >&2; exit 1; }; \
	changed() { { git diff --name-only --diff-filter=d '$(SINCE)' -- "$$@"; git ls-files --others --exclude-standard -- "$$@"; } | \
		sed 's|[^/]*$$||; s|^|./|' | sort -u; }; \
	folders=$$(changed '*.go' $(MODULES:%=':!%') ':!examples'); \
	[[ -z $$folders ]] || (set -x; bin/golangci-lint run --allow-parallel-runners $$folders); \
	for module in $(filter-out gen,$(MODULES)); do \
		[[ -z $$(changed "$$module/*.go") ]] || (set -x; cd $$module && '$(BIN)/golangci-lint' run --allow-parallel-runners --config '$(CURDIR)/.golangci.yml'); \
	done

.PHONY: test-short
test-short: ## run the tests that need nothing of the machine: no process, root, network or compiler
	@# make vet has vetted what go test would.
	go test -short -vet=off $(TESTFLAGS) ./...
	go -C bench test -short -vet=off $(TESTFLAGS) ./...

.PHONY: test
test: deps-test $(PROGRAMS) ## run all tests with the race detector, except those of test-time and test-root
	$(TEST) CGO_ENABLED=1 tools/race.sh -timeout 15m $(TESTFLAGS)
	$(TEST) go -C bench test $(TESTFLAGS) ./...
	go -C tools test $(TESTFLAGS) ./...
	go -C tools/dashboard test $(TESTFLAGS) ./...

.PHONY: test-rules
test-rules: deps-test ## check the rules for Prometheus and run their unit tests by promtool
	promtool check rules deploy/prometheus/rules.yaml
	promtool test rules deploy/prometheus/tests.yaml

.PHONY: test-incidents
test-incidents: deps-test $(PROGRAMS) ## stage eight incidents with the gateway and a Prometheus, and print how long each alert takes
	$(TEST) SAMSARA_TEST_INCIDENTS=1 go test -count 1 -parallel 1 -v -timeout 15m -run '^TestIncidents_' $(TESTFLAGS) ./cmd/gateway

.PHONY: test-time
test-time: deps-test $(PROGRAMS) ## run the tests of wall-clock time, one at a time: nothing else should run meanwhile
	$(TEST) SAMSARA_TEST_TIME=1 go test -p 1 -parallel 1 -timeout 25m -run '^TestTime_' $(TESTFLAGS) $(call folders,TestTime_)

.PHONY: test-root
test-root: deps-test $(PROGRAMS) ## run the tests that need root, cgroups or chroot, by sudo if need be
	@run=(-v -p 1 -parallel 1 -timeout 15m -run '^TestContainer_' $(TESTFLAGS)); \
	[[ $$EUID == 0 ]] || run+=(-exec 'sudo -nE'); \
	set -x; export $(TEST) SAMSARA_TEST_ROOT=1; \
	go test "$${run[@]}" $(call folders,TestContainer_); \
	go -C bench test "$${run[@]}" .

.PHONY: test-sdk
test-sdk: deps-sdk $(PROGRAMS) bin/sdk/installed ## run Samsara's official SDKs for JavaScript and Python against the sandbox; needs the network once
	$(TEST) SAMSARA_TEST_SDK=1 go test -v -timeout 15m -run '^TestSDK_' $(TESTFLAGS) ./cmd/gateway

.PHONY: test-languages
test-languages: deps-languages $(if $(filter $(PROTOC),$(LANGUAGES)),bin/packages/maven/installed) ## generate all of proto/ for ten languages with an old protoc and a current one, and compile it or check its syntax; LANGS=cpp,php
	$(if $(LANGUAGES_SDK),$(MAKE) sdk LANGS='$(LANGUAGES_SDK)' AREAS= GO_MODULE= NPM_SCOPE= MAVEN_GROUP=)
	LANGS='$(LANGS)' tools/languages.sh

.PHONY: test-packages
test-packages: deps-test-packages build bin/buf $(INSTALLED_PACKAGES) ## build the packages of make sdk twice, compare their bytes, and print what they cost a client; LANGS=go,npm
	LANGS='$(LANGS)' tools/packages/test.sh

.PHONY: sdk
sdk: deps-packages build bin/buf $(INSTALLED_PACKAGES) ## build packages for clients into dist/: LANGS=image,go,python,npm,maven,rust AREAS=tags,vehicles GO_MODULE= NPM_SCOPE= MAVEN_GROUP=
	LANGS='$(LANGS)' AREAS='$(AREAS)' GO_MODULE='$(GO_MODULE)' NPM_SCOPE='$(NPM_SCOPE)' MAVEN_GROUP='$(MAVEN_GROUP)' tools/packages/build.sh

# The architectures of make image.
ARCHES ?= amd64 arm64

.PHONY: image
image: build ## build the gateway's OCI image in dist/image, without a daemon and always as the same bytes; ARCHES='amd64 arm64'
	tools/image.sh dist/image $(ARCHES)

.PHONY: test-image
test-image: ## build the image in two clones, compare their bytes, and start it in an empty root as user 65532; needs root; FRESH=1 compiles all anew
	tools/image-test.sh $(shell go env GOARCH)

.PHONY: test-deploy
test-deploy: deps-deploy bin/gateway ## build the manifests in deploy/, decode them strictly, and have the gateway check what they configure
	$(TEST) go -C tools/deploy test $(TESTFLAGS) ./...

# The memory limits of make sizing, in MiB.
LIMITS ?= 128 256 512 1024

.PHONY: sizing
sizing: bin/gateway bin/ghz ## measure what a gateway takes in cgroups of LIMITS='128 256' MiB, as in docs/deployment.md; needs root
	tools/sizing.sh $(LIMITS)

.PHONY: sbom
sbom: build bin/cyclonedx-gomod ## write which modules the gateway is built from to dist/sbom.json, as CycloneDX
	tools/sbom.sh dist/sbom.json

.PHONY: examples
examples: deps-examples ## run the examples with the packages of make sdk, and compare what they print; LANGS=go,typescript
	$(MAKE) sdk LANGS='$(sort $(foreach language,$(EXAMPLES),$(or $(PACKAGE_$(language)),$(language))))' GO_MODULE= NPM_SCOPE= MAVEN_GROUP=
	LANGS='$(LANGS)' tools/examples.sh

.PHONY: snippets
snippets: deps-snippets ## run the programs and commands in docs/languages.md with the packages of make sdk, and compare what they print; LANGS=go,grpc-js
	$(MAKE) sdk LANGS='$(sort $(foreach language,$(SNIPPETS),$(or $(PACKAGE_$(language)),$(language))))' GO_MODULE= NPM_SCOPE= MAVEN_GROUP=
	LANGS='$(LANGS)' tools/snippets.sh

.PHONY: flake
flake: ## run the short tests 20 times beside two busy loops, and print how often they failed
	tools/flake.sh 20 test-short

.PHONY: flake-full
flake-full: ## run all tests 3 times beside two busy loops, and print how often they failed
	tools/flake.sh 3 test test-root test-time

.PHONY: ci-full
ci-full: ## run .ci/run, the cases of gRPC conformance, Samsara's SDKs, protoc for ten languages, the packages, the examples in all languages, the snippets of docs/languages.md, fuzz each target, stage incidents, replace old replicas under load and soak for minutes
	.ci/run conformance test-sdk test-languages test-packages examples snippets fuzz test-incidents test-upgrade soak-short

.PHONY: conformance
conformance: bin/conformance ## run the cases of connectrpc.com/conformance against its reference service behind the gateway's gRPC server
	tools/conformance/run.sh bin/connectconformance bin/conformance

# The commit of the last build that writes version 1 of the quota's format in Redis.
OLD := d0e5661

.PHONY: test-upgrade
test-upgrade: deps-test $(PROGRAMS) ## replace gateways of the commit OLD= with today's on one Redis, under load
	bench/peer.sh '$(OLD)' 'bin/gateway-$(OLD)'
	$(TEST) SAMSARA_TEST_TIME=1 SAMSARA_TEST_PEER='$(BIN)/gateway-$(OLD)' \
		go test -count 1 -v -run '^TestTime_quotaUpgradeOnOneRedis$$' ./cmd/gateway

.PHONY: soak
soak: deps-test bin/gateway ## follow a feed of RECORDS through KILLS of the gateway, overload the quota for OVERLOAD seconds, and run CYCLES of hostile clients
	$(TEST) SAMSARA_TEST_TIME=1 SAMSARA_SOAK_RECORDS='$(RECORDS)' SAMSARA_SOAK_KILLS='$(KILLS)' \
		SAMSARA_SOAK_QUOTA_SECONDS='$(OVERLOAD)' SAMSARA_SOAK_QUOTA_MARGIN='$(MARGIN)' SAMSARA_HOSTILE_CYCLES='$(CYCLES)' \
		go test -count 1 -parallel 1 -timeout 2h -v -run '^(TestSoak_|TestTime_(quota|memory|unread))' ./cmd/gateway

.PHONY: soak-short
soak-short: ## run the soak of a few minutes that ci-full runs
	$(MAKE) soak RECORDS=100000 KILLS=3 OVERLOAD=20 MARGIN=20 CYCLES=3

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME, such as 10m; by default 10000 inputs
	@grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' cmd internal service upstream | \
	while IFS=: read -r file func; do \
		echo "$${func#func } in $${file%/*}"; \
		go test -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZTIME) "./$${file%/*}"; \
	done

.PHONY: bench
bench: deps-test bin/gateway bin/bench bin/bench-micro ## measure the gateway beside floors and peers; ROUNDS=5 PEER=<commit> SECTIONS=2kb,goodput SERVERS=gateway; QUICK=1 only tries it
	mkdir -p '$(BENCH_OUT)'
	$(if $(PEER),bench/peer.sh '$(PEER)' 'bin/gateway-$(PEER_COMMIT)')
	bin/bench run --gateway bin/gateway --micro bin/bench-micro --commit "$$(git describe --always --dirty)" --out '$(BENCH_OUT)' \
		$(if $(PEER),--before 'bin/gateway-$(PEER_COMMIT)' --before-commit '$(PEER_COMMIT)') --sections '$(SECTIONS)' --servers '$(SERVERS)' \
		$(if $(QUICK),--rounds 1 --cpu 20ms --micro-time 5ms --flood-time 1s --messages 2,--rounds $(ROUNDS))

.PHONY: bench-ghz
bench-ghz: build bin/ghz ## load the gateway with its sandbox by ghz, and write bench/ghz/summary.txt
	env -u SAMSARA_API_TOKEN bin/gateway --sandbox --quota=false --listen 127.0.0.1:50061 --admin-listen= --log-level error & \
	trap "kill $$!" EXIT; \
	for _ in {1..100}; do (: </dev/tcp/127.0.0.1/50061) 2>/dev/null && break; sleep 0.1; done; \
	for config in bench/ghz/*.json; do bin/ghz --config "$$config"; done | tee bench/ghz/summary.txt

.PHONY: bench-compare
bench-compare: ## compare the Go benchmarks with those of the commit BASE=; COUNT=6 BENCH=.
	@bench/compare.sh '$(BASE)' '$(COUNT)' '$(BENCH)'

.PHONY: proto
proto: bin/buf bin/protogen ## write proto/ from the OpenAPI document SPEC= of Samsara's SDK_RELEASE=; ACCEPT=retyped,wrapped accepts changes that were looked at
	@test -n '$(SPEC)' || { echo 'make proto: name the document with SPEC=path' >&2; exit 1; }
	bin/protogen --spec '$(SPEC)' --out proto --sdk-release '$(SDK_RELEASE)' --accept '$(ACCEPT)'
	bin/buf format -w
	bin/buf lint

.PHONY: drift
drift: bin/protogen ## list what the OpenAPI document SPEC= would change in proto/, by severity, and fail if it would; ARGS=--json
	@test -n '$(SPEC)' || { echo 'make $@: name the document with SPEC=path' >&2; exit 1; }
	@bin/protogen drift --spec '$(SPEC)' $(ARGS)

.PHONY: generate
generate: bin/buf ## write gen/ from proto/
	rm -rf gen/*/ gen/gen.go gen/comments.binpb.gz
	bin/buf generate

.PHONY: checkgenerate
checkgenerate: $(if $(SPEC),proto) generate ## fail unless proto/ and gen/ are as generated and committed
	@test -z "$$(git status --porcelain -- proto gen)" || { \
		git status --short -- proto gen; git --no-pager diff --stat -- proto gen; \
		echo 'make checkgenerate: the files above are not as generated, or not committed' >&2; exit 1; }

.PHONY: lint
lint: bin/golangci-lint bin/buf checklinked checklocked ## lint Go and proto, and fail if a change breaks clients
	bin/golangci-lint run
	@for module in $(MODULES); do (set -x; cd $$module && '$(BIN)/golangci-lint' run --config '$(CURDIR)/.golangci.yml'); done
	bin/buf lint
	bin/buf format -d --exit-code
	bin/buf breaking --against $(BASELINE)

.PHONY: checklinked
checklinked: ## fail if the gateway links text/template, which makes it half as large again
	tools/linked.sh ./cmd/gateway

.PHONY: checklocked
checklocked: bin/locked ## fail if a ...Locked method is called without a lock held
	go vet -vettool='$(BIN)/locked' $(patsubst %,./%/...,$(wildcard $(LOCKED)))

.PHONY: docs
docs: bin/gateway bin/grpcurl ## rewrite the settings and areas in docs/, what its commands print, and the golden help; then read the diff
	go test ./internal/config -run '^TestDocs_settings$$' -update
	$(TEST) go test ./cmd/gateway -run '^(TestDocs_areas|TestDocs_commands|TestScripts_all)$$' -update

.PHONY: dashboard
dashboard: ## write deploy/grafana/dashboard.json from tools/dashboard
	@mkdir -p '$(BIN)'
	go -C tools/dashboard run . >'$(BIN)/dashboard.json'
	mv '$(BIN)/dashboard.json' deploy/grafana/dashboard.json

.PHONY: arrows
arrows: ## print which files of the package PKG= use names of which others, in the reading order ORDER=
	@go -C tools build -o '$(BIN)/arrows' ./cmd/arrows
	@bin/arrows '$(PKG)' $(ORDER)

.PHONY: baseline
baseline: bin/buf ## promise the current proto/ to clients: make lint refuses breaking changes from then on
	bin/buf build --exclude-source-info -o $(BASELINE)

.PHONY: tidy
tidy: ## fail unless go.mod and go.sum are tidy
	go mod tidy -diff
	@for module in $(MODULES); do (set -x; go -C $$module mod tidy -diff); done

.PHONY: grpcurl
grpcurl: bin/grpcurl ## run grpcurl with ARGS=
	@bin/grpcurl $(ARGS)

.PHONY: ghz
ghz: bin/ghz ## run ghz with ARGS=
	@bin/ghz $(ARGS)

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist

# The go command, and not make, decides what is up to date.
.PHONY: bin/gateway bin/bench bin/bench-micro bin/conformance bin/locked bin/protogen
bin/gateway:
	go build -ldflags "$$(tools/version.sh)" -o $@ ./cmd/gateway

bin/bench:
	go -C bench build -o '$(BIN)/bench' .

bin/bench-micro:
	go -C bench test -c -o '$(BIN)/bench-micro' ./internal/micro

bin/protogen:
	go build -o $@ ./cmd/protogen

# This builds the runner too, bin/connectconformance.
bin/conformance:
	go -C tools/conformance build -o '$(BIN)/' . connectrpc.com/conformance/cmd/connectconformance

bin/locked:
	go -C tools build -o '$(BIN)/locked' ./cmd/locked

$(TOOLS:%=bin/%): bin/%: tools/go.mod tools/go.sum
	go -C tools build -o '$(BIN)/' $(TOOL_$*)
	@touch $@

# The lock files fix the versions and the contents.
bin/sdk/installed: tools/sdk/package-lock.json tools/sdk/requirements.txt
	rm -rf bin/sdk
	mkdir -p bin/sdk
	cp tools/sdk/package.json tools/sdk/package-lock.json bin/sdk
	npm ci --prefix bin/sdk --ignore-scripts --no-audit --no-fund
	python3 -m venv bin/sdk/python
	bin/sdk/python/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tools/sdk/requirements.txt
	touch $@

bin/packages/python/installed: tools/packages/python/requirements.txt
	rm -rf bin/packages/python
	python3 -m venv bin/packages/python
	bin/packages/python/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tools/packages/python/requirements.txt
	touch $@

bin/packages/maven/installed: tools/packages/maven/install.sh tools/packages/maven/pom.xml
	tools/packages/maven/install.sh

bin/packages/npm/installed: tools/packages/npm/package-lock.json
	rm -rf bin/packages/npm
	mkdir -p bin/packages/npm
	cp tools/packages/npm/package.json tools/packages/npm/package-lock.json bin/packages/npm
	npm ci --prefix bin/packages/npm --ignore-scripts --no-audit --no-fund
	touch $@

.PHONY: deps-packages
deps-packages: ## install what the packages of make sdk need on the machine, or list what is missing; LANGS=
	@tools/deps.sh $(sort $(foreach package,$(PACKAGES),$(NEEDS_$(package))))

.PHONY: deps-deploy
deps-deploy: ## install what test-deploy needs on the machine (systemd-analyze), or list what is missing
	@tools/deps.sh systemd-analyze

.PHONY: deps-examples
deps-examples: ## install what the examples need on the machine, or list what is missing; LANGS=
	@tools/deps.sh openssl $(sort $(foreach language,$(EXAMPLES),$(NEEDS_$(language))))

.PHONY: deps-snippets
deps-snippets: ## install what the snippets need on the machine, or list what is missing; LANGS=
	@tools/deps.sh grpc-plugins protoc $(sort $(foreach language,$(SNIPPETS),$(NEEDS_$(language))))

.PHONY: deps-sdk
deps-sdk: ## install what the SDKs need on the machine, or list what is missing
	@tools/deps.sh node npm python3

.PHONY: deps-languages
deps-languages: ## install what test-languages needs on the machine, or list what is missing; LANGS=
	@tools/deps.sh $(if $(filter $(PROTOC),$(LANGUAGES)),grpc-plugins javac mvn protoc) $(sort $(foreach language,$(LANGUAGES),$(NEEDS_$(language))))

.PHONY: deps-test-packages
deps-test-packages: ## install what test-packages needs on the machine, or list what is missing; LANGS=
	@tools/deps.sh $(sort $(foreach package,$(PACKAGES),$(NEEDS_$(package))) $(if $(filter image,$(PACKAGES)),$(NEEDS_cpp)))

.PHONY: deps-test
deps-test: ## install what the tests need on the machine (git, curl, a C compiler, redis-server, promtool, prometheus), or list what is missing
	@tools/deps.sh git curl cc redis-server promtool prometheus
