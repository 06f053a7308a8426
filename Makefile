# sendmail, written in Rust. `make help` lists the targets.

CARGO ?= cargo

# The scenario to play by hand and its arguments.
NAME ?= peers
ARGUMENTS ?= 1000

.PHONY: help build run test peers scenario differ speed large-queue fuzz check install install-files clean

help:
	@echo 'make run          build, start a private sandbox on 127.0.0.1:2525, deliver a message'
	@echo 'make test         fetch what the tests need, run unit and system tests'
	@echo 'make differ       compare with the real sendmail: all configurations, then SECONDS or COUNT of random ones'
	@echo 'make scenario     play one of tests/scenarios as NAME="peers" ARGUMENTS="1000", say'
	@echo 'make fuzz         feed foreign bytes to every reader, SECONDS for each; see fuzz/README.md'
	@echo 'make speed        time -bt and a start beside the real sendmail (ROUNDS)'
	@echo 'make large-queue  measure mailq with COUNT messages in the queue'
	@echo 'make install      install under $$(DESTDIR)/'
	@echo 'make check        formatting and lints'

run: build
	etc/sandbox/run target/release/sendmail

build:
	$(CARGO) build --release

# Most system tests wait more than they compute.
export RUST_TEST_THREADS ?= $(shell expr 3 \* $$(nproc))

test: peers
	$(CARGO) test

# Puts everything of etc/manifest below $(DESTDIR). Configuration that is there
# already (sendmail.cf, aliases, maps) is never touched.
SMMSP := $(shell [ "$$(id -u)" = 0 ] && getent group smmsp >/dev/null && echo smmsp)
SBIN_LINKS = editmap hoststat mailstats makemap newaliases praliases purgestat rmail runq sensible-mda smtpd

MAN_SECTIONS = 1 5 8

PROGRAM ?= target/release/sendmail

install: build install-files

install-files:
	install -d -m 755 $(DESTDIR)/etc/init.d $(DESTDIR)/etc/mail/smrsh $(DESTDIR)/usr/bin \
	    $(DESTDIR)/usr/lib $(DESTDIR)/usr/libexec/sendmail $(DESTDIR)/usr/sbin
	install -d -m 755 $(MAN_SECTIONS:%=$(DESTDIR)/usr/share/man/man%)
	install -d -m 700 $(DESTDIR)/var/spool/mqueue
	install -d -m 770 $(if $(SMMSP),-o smmsp -g smmsp) $(DESTDIR)/var/spool/clientmqueue
	install -m $(if $(SMMSP),2755 -g smmsp,755) $(PROGRAM) $(DESTDIR)/usr/sbin/sendmail
	for name in $(SBIN_LINKS); do ln -sfn sendmail $(DESTDIR)/usr/sbin/$$name; done
	ln -sfn ../sbin/sendmail $(DESTDIR)/usr/bin/mailq
	ln -sfn ../sbin/sendmail $(DESTDIR)/usr/bin/newaliases
	ln -sfn ../sbin/sendmail $(DESTDIR)/usr/bin/vacation
	ln -sfn ../sbin/sendmail $(DESTDIR)/usr/lib/sendmail
	for name in mail.local smrsh; do ln -sfn ../../sbin/sendmail $(DESTDIR)/usr/libexec/sendmail/$$name; done
	install -m 755 etc/init.d/sendmail $(DESTDIR)/etc/init.d/sendmail
	install -m 644 etc/helpfile $(DESTDIR)/etc/mail/helpfile
	for n in $(MAN_SECTIONS); do install -m 644 man/*.$$n $(DESTDIR)/usr/share/man/man$$n; done

scenario: peers build
	unshare --mount --net --uts --ipc --pid --fork --kill-child sh -c '"$$@"; exit $$?' sh \
	    /usr/bin/python3 tests/support/stage.py $(CURDIR)/target/release/sendmail $(NAME) $(ARGUMENTS)

peers:
	tests/support/peers

# How long to compare or to fuzz, for each kind or target.
SECONDS ?= $(if $(COUNT),0,60)
# Asks the real sendmail and ours the same; the same SEED asks the same again. With COUNT
# the random questions end when so many evaluations of addresses were compared.
COUNT ?=
SEED ?=

differ: peers build
	tests/differential/run configurations
	tests/differential/run fuzz $(SECONDS) '$(SEED)' $(COUNT)

# How long -bt takes for the configurations of `make differ`, and a start, beside the real program.
speed: peers build
	tests/differential/run speed $(or $(ROUNDS),9)

# What mailq and a queue run cost with COUNT messages, beside the real program.
large-queue: peers build
	tests/large_queue/run --count $(or $(COUNT),100000) \
	    target/peers/root/usr/libexec/sendmail/sendmail target/release/sendmail

fuzz:
	fuzz/run $(SECONDS)

check:
	$(CARGO) fmt --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy --all-targets -- -D warnings

clean:
	$(CARGO) clean
