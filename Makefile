# sendmail, written in Rust. `make help` lists the targets.

CARGO ?= cargo

.PHONY: help build run test peers check clean

help:
	@echo 'make run      build, start a private sandbox on 127.0.0.1:2525, deliver a message'
	@echo 'make test     fetch what the tests need, run unit and system tests'
	@echo 'make install  install under $$(DESTDIR)/'
	@echo 'make check    formatting and lints'

run: build
	etc/sandbox/run target/release/sendmail

build:
	$(CARGO) build --release

test: peers
	$(CARGO) test

peers:
	tests/support/peers

check:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings

clean:
	$(CARGO) clean
