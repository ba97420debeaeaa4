# kinto: one static binary. `make help` lists the targets; objects go to build/<variant>/.
#   V=1 shows commands · CC=clang · SANITIZE=1 (ASan+UBSan) · SANITIZE=thread (TSan)
#   (SANITIZE=fuzz and SANITIZE=coverage are what `make fuzz` and `make fuzz-coverage` build)
#   SUITE=json or SUITE=unit/json/test_parse selects tests, CASE= a Check case
#   MBEDTLS=/path/usr builds with the mbedtls below it instead of the system's

CC         ?= gcc
ifeq ($(origin CC),default)
CC         := gcc
endif
SANITIZE   ?=
BUILD_ROOT ?= build
PREFIX     ?= /usr/local
ROOMS      := base process json engine http store auth api plugins cli
PACKAGES   := gcc libc6-dev make pkg-config check openssl libmbedtls-dev libjsmn-dev libpcre2-dev libcrypt-dev libc-ares-dev zlib1g-dev \
              $(filter clang%,$(CC))

ifeq ($(SANITIZE),)
VARIANT    := release
# Small: what nothing refers to is left out, and what only unwinding of exceptions would need.
OPT        := -O2 -g -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables
LINK       := -static-pie -Wl,--gc-sections
else ifeq ($(SANITIZE),thread)
VARIANT    := tsan
OPT        := -O1 -g -fsanitize=thread -DKINTO_DEBUG
LINK       :=
else ifeq ($(SANITIZE),fuzz)
VARIANT    := fuzz
OPT        := -O1 -g -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all -fno-omit-frame-pointer -DKINTO_DEBUG
LINK       :=
else ifeq ($(SANITIZE),coverage)
VARIANT    := coverage
OPT        := -O1 -g -fprofile-instr-generate -fcoverage-mapping
LINK       :=
else
VARIANT    := asan
OPT        := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -DKINTO_DEBUG
LINK       :=
endif

comma      := ,
B          := $(BUILD_ROOT)/$(VARIANT)-$(notdir $(CC))
VERSION    := $(shell cat VERSION 2>/dev/null || echo 0.0.0)
WARN       := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes \
              -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla -Wundef -Werror
# What the binary is hardened with; test/unit/kinto/test_binary.c looks whether it is.
MACHINE    := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
HARDEN     := -fPIE -fstack-protector-strong -fstack-clash-protection -Wformat -Wformat-security
HARDEN     += $(if $(filter x86_64,$(MACHINE)),-fcf-protection)
HARDEN     += $(if $(filter aarch64,$(MACHINE)),-mbranch-protection=standard)
ifeq ($(SANITIZE),)
HARDEN     += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$(if $(findstring clang,$(CC)),2,3)
LINK       += -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code
# Relocations in a tenth of the space, where the linker can (x86-64 only, so far).
LINK       += $(if $(filter x86_64,$(MACHINE)),-Wl$(comma)-z$(comma)pack-relative-relocs)
# PCRE2's compiler to machine code is not called, so it is not linked (json/pcre2_jit.c).
NO_JIT     := pcre2_jit_match_8 _pcre2_jit_check_exec_8 _pcre2_jit_free_8 _pcre2_jit_get_size_8
LINK       += $(NO_JIT:%=-Wl$(comma)--wrap=%) -Wl,-u,__wrap_pcre2_jit_match_8
# Nor are mbedtls' certificates for tests (http/mbedtls_certs.c), and hashes other than bcrypt (auth/crypt_others.c).
LINK       += -Wl,-u,mbedtls_test_ca_crt -Wl,-u,_crypt_crypt_descrypt_rn
endif
LANGUAGE   := -std=gnu11 -I. -D_GNU_SOURCE -DKINTO_VERSION='"$(VERSION)"'
CFLAGS     += $(OPT) $(WARN) $(HARDEN) -pthread $(LANGUAGE)
ifneq ($(MBEDTLS),)
CFLAGS     += -I$(MBEDTLS)/include $(addprefix -L,$(wildcard $(MBEDTLS)/lib/*-linux-gnu*))
endif
LIBS       := -lmbedtls -lmbedx509 -lmbedcrypto -lcares -lpcre2-8 -lcrypt -lz -lm -pthread
TESTLIBS   := $(shell pkg-config --libs check 2>/dev/null || echo -lcheck -lsubunit -lm -lrt)

SRC        := $(foreach r,$(ROOMS),$(wildcard $(r)/*.c))
OBJ        := $(SRC:%.c=$(B)/%.o)
FUZZ_SRC   := $(wildcard test/fuzz/fuzz_*.c)
TEST_SRC   := $(wildcard test/unit/*/test_*.c) $(wildcard test/http/test_*.c) $(wildcard test/crash/test_*.c) $(FUZZ_SRC)
TEST_BIN   := $(TEST_SRC:%.c=$(B)/%)
SUPPORT    := $(patsubst %.c,$(B)/%.o,$(wildcard test/support/*.c))
Q          := $(if $(V),,@)

# Who works as root (a container, a machine for tests) may go on with that; kinto alone would refuse.
ifeq ($(shell id -u),0)
export KINTO_SERVER_USER ?= root
endif

.PHONY: all run test test-clients test-threads test-mbedtls3 lint metrics clean help deps install dist check crash bench-engine
.SECONDARY:

all: kinto ## the static binary ./kinto

# ./kinto is the static one: whichever compiler and build folder it was made by last.
.PHONY: kinto
kinto: $(B)/kinto
ifeq ($(SANITIZE),)
	$(Q)cmp -s $< $@ || { cp $< $@.tmp && mv $@.tmp $@; }
else
	@:
endif

$(B)/kinto: $(B)/kinto.o $(B)/libkinto.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(LINK) -o $@ $^ $(LIBS)

$(B)/libkinto.a: $(OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^

# What runs for each request, and each record that it looks at, is worth more space.
ifeq ($(SANITIZE),)
$(foreach r,json engine http store,$(B)/$(r)/%.o): CFLAGS += -O3
endif

$(B)/%.o: %.c
	@mkdir -p $(dir $@)
	@echo "  CC    $<"
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

# kinto.ini is part of the program (kinto init writes it).
$(B)/cli/init.o: kinto.ini
# So is the version.
$(B)/kinto.o $(B)/cli/args.o $(B)/cli/serve.o: VERSION

# A test is a program of its own; unit tests link what they need out of the library.
$(B)/test/%: $(B)/test/%.o $(SUPPORT) $(B)/libkinto.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(WRAP) -o $@ $(B)/test/$*.o $(SUPPORT) $(B)/libkinto.a $(LIBS) $(TESTLIBS)

# In these allocations are counted, and fail (test/support/memory.h): mbedtls', too, so it is linked into them.
COUNTED    := unit/http/test_memory
$(COUNTED:%=$(B)/test/%): WRAP := $(foreach f,malloc calloc realloc strdup free,-Wl,--wrap=$(f))
$(COUNTED:%=$(B)/test/%): LIBS := $(patsubst -lmbed%,-l:libmbed%.a,$(LIBS))

# A fuzz target has libFuzzer's main, or one that gives it its seeds.
FUZZ_MAIN  := $(if $(filter fuzz,$(SANITIZE)),,$(B)/test/fuzz/replay.o)
$(B)/test/fuzz/fuzz_%: $(B)/test/fuzz/fuzz_%.o $(FUZZ_MAIN) $(B)/libkinto.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(if $(FUZZ_MAIN),,-fsanitize=fuzzer) -o $@ $^ $(LIBS) $(TESTLIBS)

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

THREADED   := http/test_look base/test_thread http/test_durability base/test_pool base/test_purse base/test_rate http/test_crowds http/test_handshakes http/test_memory unit/http/test_tls http/test_rate_limit engine/test_threads engine/test_index engine/test_reserve engine/test_backup http/test_server http/test_bind http/test_stop http/test_concurrency http/test_client store/test_cache auth/test_jwt api/test_aside api/test_gzip http/test_gzip api/test_extend plugins/test_series http/test_prometheus http/test_quotas plugins/test_openid plugins/test_outbox plugins/test_plugins http/test_accounts http/test_account_mail http/test_openid http/test_statsd http/test_process http/test_together
test-threads: deps ## what has threads, under TSan
	$(Q)$(MAKE) --no-print-directory SANITIZE=thread SUITE="$(THREADED)" check

DEBIAN13   := $(BUILD_ROOT)/debian13
test-mbedtls3: deps ## TLS again with mbedtls 3.6, which has TLS 1.3: out of Debian 13's package, which is not installed
	$(Q)./test/support/debian13.sh $(DEBIAN13) libmbedtls-dev
	$(Q)$(MAKE) --no-print-directory BUILD_ROOT=$(DEBIAN13) MBEDTLS=$(abspath $(DEBIAN13)/tree/usr) \
	    SUITE="http/test_tls http/test_https http/test_handshakes http/test_memory http/test_listen http/test_client http/test_smtp http/test_openid base/test_hash auth/test_jwt" check

crash: $(B)/test/crash/test_crash ## power failures on a simulated disk, long: ROUNDS=100 SEED=
	$(Q)CRASH_ROUNDS=$(or $(ROUNDS),100) CK_TIMEOUT_MULTIPLIER=1000 $<

FUZZ_TOOLS := clang libclang-rt-dev llvm
FUZZ_NAMES := $(or $(TARGET),$(FUZZ_SRC:test/fuzz/fuzz_%.c=%))
FUZZ       := FUZZ_SECONDS=$(or $(SECONDS),60) FUZZ_JOBS=$(or $(JOBS),1) ./test/fuzz/run.sh $(BUILD_ROOT)
.PHONY: fuzz fuzz-merge fuzz-coverage fuzz-targets
fuzz: ## random input for what strangers' bytes reach, under ASan+UBSan: TARGET="json url" SECONDS=60 JOBS=2
	$(Q)./test/support/deps.sh $(PACKAGES) $(FUZZ_TOOLS)
	$(Q)$(MAKE) --no-print-directory CC=clang SANITIZE=fuzz fuzz-targets
	$(Q)$(FUZZ) fuzz $(FUZZ_NAMES)

fuzz-merge: ## what the corpora in the build folder reach, and no more, becomes the seeds: TARGET=
	$(Q)./test/support/deps.sh $(PACKAGES) $(FUZZ_TOOLS)
	$(Q)$(MAKE) --no-print-directory CC=clang SANITIZE=fuzz fuzz-targets
	$(Q)$(FUZZ) merge $(FUZZ_NAMES)

fuzz-coverage: ## which lines of the parsers the seeds reach
	$(Q)./test/support/deps.sh $(PACKAGES) $(FUZZ_TOOLS)
	$(Q)$(MAKE) --no-print-directory CC=clang SANITIZE=coverage fuzz-targets
	$(Q)$(FUZZ) coverage $(FUZZ_NAMES)

fuzz-targets: $(FUZZ_NAMES:%=$(B)/test/fuzz/fuzz_%)

# Without it the programs below skip, loudly.
VENV       := python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || ./test/support/deps.sh python3 python3-venv || true

# The stores that the engine is measured beside are needed here only.
BENCH_OBJ  := $(patsubst %.c,$(B)/%.o,$(wildcard test/bench/engine/*.c))
$(B)/test/bench/engine/bench: $(BENCH_OBJ) $(B)/libkinto.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LIBS) -llmdb -lsqlite3

bench-engine: ## the engine beside LMDB and SQLite (installed when missing): BENCH="--records 1000000 ..."
	$(Q)./test/support/deps.sh $(PACKAGES) liblmdb-dev libsqlite3-dev
	$(Q)$(MAKE) --no-print-directory $(B)/test/bench/engine/bench
	$(Q)$(B)/test/bench/engine/bench $(BENCH)

.PHONY: bench
bench: ## kinto beside the reference, nginx and a loop of syncs, on one core (what is missing is installed): BENCH="--only get,put"
	$(Q)./test/support/deps.sh $(PACKAGES) wrk strace
	$(Q)./test/support/deps.sh nginx-light postgresql || true
	$(Q)$(VENV)
	$(Q)$(MAKE) --no-print-directory kinto
	$(Q)KINTO_BIN=$(abspath $(B)/kinto) python3 test/bench/bench.py --scratch $(BUILD_ROOT)/bench \
	    --out $(BUILD_ROOT)/bench $(BENCH)

.PHONY: instructions
instructions: ## do requests take as many instructions as they did? Under callgrind, so on any machine: UPDATE=1 records
	$(Q)./test/support/deps.sh $(PACKAGES) valgrind binutils
	$(Q)$(MAKE) --no-print-directory kinto
	$(Q)KINTO_BIN=$(abspath $(B)/kinto) python3 test/bench/instructions.py $(if $(UPDATE),--update)

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

.PHONY: abuse
abuse: kinto ## what others notice of 10,000 connections, slow clients and floods: ABUSE="--seconds 8 SCENARIO" (needs Python 3)
	$(Q)KINTO_BIN=$(abspath $(B)/kinto) python3 test/abuse/abuse.py $(ABUSE)

install: kinto ## the binary and its papers, below DESTDIR and PREFIX (/usr/local); SYSTEMD=1: and its units
	$(Q)install -D -m 755 kinto $(DESTDIR)$(PREFIX)/bin/kinto
	$(Q)install -d $(DESTDIR)$(PREFIX)/share/doc/kinto
	$(Q)install -m 644 kinto.ini README.md $(wildcard doc/*.md) $(DESTDIR)$(PREFIX)/share/doc/kinto
ifdef SYSTEMD
	$(Q)install -D -m 644 doc/systemd/kinto.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/kinto.conf
	$(Q)install -D -m 644 doc/systemd/kinto.socket $(DESTDIR)$(PREFIX)/lib/systemd/system/kinto.socket
	$(Q)sed 's|/usr/local/bin|$(PREFIX)/bin|' doc/systemd/kinto.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/kinto.service
endif

dist: ## kinto-VERSION.tar.gz of what is committed
	$(Q)git archive --prefix=kinto-$(VERSION)/ -o kinto-$(VERSION).tar.gz HEAD
	@echo kinto-$(VERSION).tar.gz

lint: ## format, includes between rooms, banned functions; settings, plugins and functions in the docs (needs Python 3)
	$(Q)python3 test/lint/selftest.py
	$(Q)CC=$(CC) python3 test/lint/lint.py

.PHONY: analyze
analyze: ## clang-tidy and cppcheck (installed when missing) over kinto.c and the rooms, or FILES="base/str.c"
	$(Q)./test/support/deps.sh $(PACKAGES) clang-tidy cppcheck
	$(Q)./test/lint/analyze.sh $(or $(FILES),kinto.c $(SRC)) -- $(LANGUAGE)

metrics: kinto ## the longest and the most branched functions, the size of the binary
	$(Q)python3 test/lint/metrics.py --binary $(B)/kinto

clean: ## remove what was built
	rm -rf build kinto

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /  \1\t/p' Makefile | expand -t 16

-include $(OBJ:.o=.d) $(B)/kinto.d $(TEST_BIN:=.d) $(SUPPORT:.o=.d) $(BENCH_OBJ:.o=.d) $(B)/test/fuzz/replay.d
