# kinto: one static binary. `make help` lists the targets; objects go to build/<variant>/.
#   V=1 shows commands · CC=clang · SANITIZE=1 (ASan+UBSan) · SANITIZE=thread (TSan)
#   SUITE=json or SUITE=unit/json/test_parse selects tests, CASE= a Check case

CC         ?= gcc
ifeq ($(origin CC),default)
CC         := gcc
endif
SANITIZE   ?=
BUILD_ROOT ?= build
PREFIX     ?= /usr/local
ROOMS      := base json engine http store auth api plugins cli
PACKAGES   := gcc libc6-dev make pkg-config check openssl libmbedtls-dev libjsmn-dev libpcre2-dev libcrypt-dev libc-ares-dev

ifeq ($(SANITIZE),)
VARIANT    := release
OPT        := -O2 -g
LINK       := -static -Wl,-z,relro,-z,now
else ifeq ($(SANITIZE),thread)
VARIANT    := tsan
OPT        := -O1 -g -fsanitize=thread -DKINTO_DEBUG
LINK       :=
else
VARIANT    := asan
OPT        := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -DKINTO_DEBUG
LINK       :=
endif

B          := $(BUILD_ROOT)/$(VARIANT)-$(notdir $(CC))
VERSION    := $(shell cat VERSION 2>/dev/null || echo 0.0.0)
WARN       := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes \
              -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla -Wundef -Werror
HARDEN     := -fstack-protector-strong
ifeq ($(SANITIZE),)
HARDEN     += -D_FORTIFY_SOURCE=2
endif
CFLAGS     += -std=gnu11 $(OPT) $(WARN) $(HARDEN) -I. -D_GNU_SOURCE -pthread \
              -DKINTO_VERSION='"$(VERSION)"'
LIBS       := -lmbedtls -lmbedx509 -lmbedcrypto -lcares -lpcre2-8 -lcrypt -lm -pthread
TESTLIBS   := $(shell pkg-config --libs check 2>/dev/null || echo -lcheck -lsubunit -lm -lrt)

SRC        := $(foreach r,$(ROOMS),$(wildcard $(r)/*.c))
OBJ        := $(SRC:%.c=$(B)/%.o)
TEST_SRC   := $(wildcard test/unit/*/test_*.c) $(wildcard test/http/test_*.c) $(wildcard test/crash/test_*.c)
TEST_BIN   := $(TEST_SRC:%.c=$(B)/%)
SUPPORT    := $(patsubst %.c,$(B)/%.o,$(wildcard test/support/*.c))
Q          := $(if $(V),,@)

.PHONY: all run test test-clients test-threads lint metrics clean help deps install dist check crash bench-engine
.SECONDARY:

all: kinto ## the static binary ./kinto

ifeq ($(SANITIZE),)
kinto: $(B)/kinto
	$(Q)cp $< $@.tmp && mv $@.tmp $@
else
.PHONY: kinto
kinto: $(B)/kinto # stays in its build folder: ./kinto is the static one
	@:
endif

$(B)/kinto: $(B)/kinto.o $(B)/libkinto.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(LINK) -o $@ $^ $(LIBS)

$(B)/libkinto.a: $(OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/%.o: %.c
	@mkdir -p $(dir $@)
	@echo "  CC    $<"
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

# kinto.ini is part of the program (kinto init writes it).
$(B)/cli/init.o: kinto.ini
# So is the version.
$(B)/kinto.o $(B)/cli/args.o: VERSION

# A test is a program of its own; unit tests link what they need out of the library.
$(B)/test/%: $(B)/test/%.o $(SUPPORT) $(B)/libkinto.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) -o $@ $(B)/test/$*.o $(SUPPORT) $(B)/libkinto.a $(LIBS) $(TESTLIBS)

deps: ## install the packages that are missing (Debian; says what to install without root)
	$(Q)./test/support/deps.sh $(PACKAGES)

run: deps ## install what is missing, build, start on ./kinto-data
	$(Q)$(MAKE) --no-print-directory kinto
	./kinto start

test: deps ## install what is missing, build and run every test
	$(Q)$(MAKE) --no-print-directory check

# SUITE may be several words; only what they select is built.
TEST_RUN   := $(if $(SUITE),$(foreach t,$(TEST_BIN),$(if $(strip $(foreach s,$(SUITE),$(findstring $(s),$(t:$(B)/%=%)))),$(t))),$(TEST_BIN))
check: kinto $(TEST_RUN)
	$(Q)KINTO_BIN=$(abspath $(B)/kinto) ./test/run.sh "$(CASE)" $(sort $(TEST_RUN))

test-clients: deps ## the real clients, Python and JavaScript, and a SIGKILL between their two runs
	$(Q)$(MAKE) --no-print-directory kinto
	$(Q)KINTO_BIN=$(abspath $(B)/kinto) ./test/clients/run.sh

THREADED   := base/test_pool engine/test_threads engine/test_index engine/test_reserve engine/test_backup http/test_server http/test_stop http/test_concurrency http/test_client store/test_cache auth/test_jwt api/test_extend plugins/test_series http/test_prometheus http/test_quotas plugins/test_openid plugins/test_outbox plugins/test_plugins http/test_accounts http/test_account_mail http/test_openid http/test_statsd http/test_together
test-threads: deps ## what has threads, under TSan
	$(Q)$(MAKE) --no-print-directory SANITIZE=thread SUITE="$(THREADED)" check

crash: $(B)/test/crash/test_crash ## power failures on a simulated disk, long: ROUNDS=100 SEED=
	$(Q)CRASH_ROUNDS=$(or $(ROUNDS),100) CK_TIMEOUT_MULTIPLIER=1000 $<

# The stores that the engine is measured beside are needed here only.
BENCH_OBJ  := $(patsubst %.c,$(B)/%.o,$(wildcard test/bench/*.c))
$(B)/test/bench/engine: $(BENCH_OBJ) $(B)/libkinto.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LIBS) -llmdb -lsqlite3

bench-engine: ## the engine beside LMDB and SQLite (installed when missing): BENCH="--records 1000000 ..."
	$(Q)./test/support/deps.sh $(PACKAGES) liblmdb-dev libsqlite3-dev
	$(Q)$(MAKE) --no-print-directory $(B)/test/bench/engine
	$(Q)$(B)/test/bench/engine $(BENCH)

# Without it the programs below skip, loudly.
VENV       := python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || ./test/support/deps.sh python3 python3-venv || true

.PHONY: parity parity-test openapi-test
parity: kinto ## ours beside the reference (installed when missing): REQUESTS=10000 SEED=1 PROFILE=
	$(Q)$(VENV)
	$(Q)KINTO_BIN=$(abspath $(B)/kinto) python3 test/parity/parity.py --requests $(or $(REQUESTS),10000) \
	    --seed $(or $(SEED),1) $(addprefix --profile ,$(PROFILE)) --report $(B)/parity.md

parity-test: ## would that find a difference? The reference beside itself with a mistake built in, one after the other
	$(Q)$(VENV)
	$(Q)python3 test/parity/selftest.py

openapi-test: kinto ## is what GET /__api__ says true? schemathesis asks: EXAMPLES=10 SEED="1 2"
	$(Q)$(VENV)
	$(Q)KINTO_BIN=$(abspath $(B)/kinto) python3 test/openapi/run.py --examples $(or $(EXAMPLES),10) \
	    --seed $(or $(SEED),1) --scratch $(BUILD_ROOT)/openapi

.PHONY: timing
timing: kinto ## does the time of an answer tell whether a name is an account? SAMPLES=300 (needs Python 3)
	$(Q)KINTO_BIN=$(abspath $(B)/kinto) python3 test/timing/timing.py --samples $(or $(SAMPLES),300)

install: kinto ## the binary and its papers, below DESTDIR and PREFIX (/usr/local)
	$(Q)install -D -m 755 kinto $(DESTDIR)$(PREFIX)/bin/kinto
	$(Q)install -d $(DESTDIR)$(PREFIX)/share/doc/kinto
	$(Q)install -m 644 kinto.ini README.md $(wildcard doc/*.md) $(DESTDIR)$(PREFIX)/share/doc/kinto

dist: ## kinto-VERSION.tar.gz of what is committed
	$(Q)git archive --prefix=kinto-$(VERSION)/ -o kinto-$(VERSION).tar.gz HEAD
	@echo kinto-$(VERSION).tar.gz

lint: ## format, includes between rooms, banned functions, settings and plugins in the docs (needs Python 3)
	$(Q)python3 test/lint/selftest.py
	$(Q)CC=$(CC) python3 test/lint/lint.py

metrics: kinto ## the longest and the most branched functions, the size of the binary
	$(Q)python3 test/lint/metrics.py --binary $(B)/kinto

clean: ## remove what was built
	rm -rf build kinto

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' Makefile | expand -t 16

-include $(OBJ:.o=.d) $(B)/kinto.d $(TEST_BIN:=.d) $(SUPPORT:.o=.d) $(BENCH_OBJ:.o=.d)
