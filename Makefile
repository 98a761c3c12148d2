# Locktone. `make up` starts a secure site on this machine, `make demo` proves a call, `make test` runs everything.
GO      ?= go
BIN     := bin/locktone
HOME_   ?= var
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)

.PHONY: build up demo test test-all race fuzz bench lint package peers clean generate

build:
	@mkdir -p bin
	@scripts/progress "building $(BIN) (the first build takes two to three minutes)" \
		env CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/locktone

up: build
	@exec $(BIN) up --home $(HOME_)

demo: build
	@if [ -n "$(ARGS)" ]; then $(BIN) demo $(ARGS); else $(BIN) demo contact-centre && $(BIN) demo call && $(BIN) demo trust && $(BIN) demo cti; fi

# The real programs the tests talk to; see scripts/peers. Says what is missing and goes on, unless LOCKTONE_REQUIRE_PEERS=1.
peers:
	@scripts/peers

test: peers lint
	@scripts/test

test-all: peers lint
	@LOCKTONE_ALL=1 scripts/test

race:
	$(GO) test -race -timeout 20m ./wire/... ./call/... ./leg/... ./applet/... ./dialplan/... ./media/... ./pki/... ./bus/... ./trace/...

fuzz:
	@scripts/fuzz $(FUZZTIME)

bench: build
	@scripts/bench $(ARGS)

lint:
	@scripts/lint

generate:
	$(GO) generate ./...

package: build
	@scripts/package '$(VERSION)'

clean:
	rm -rf bin dist
