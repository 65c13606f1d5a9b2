# shoal: one Makefile, GNU make and pkg-config.
#   make            build/shoal and build/shoal-agent
#   make demo       eight nodes on this machine, with the model in models/
#   make test       unit, golden and end-to-end tests     make check   the rules of the house
#   make bench fuzz asan tsan neon install deps           see CONTRIBUTING.md
# BUILD=DIR puts everything elsewhere; SANITIZE=address,undefined or thread builds with sanitizers.

# As many jobs as processors, unless -j or the make that called this one says how many.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif

BUILD    ?= build
CC       ?= gcc
CXX      ?= g++
PREFIX   ?= /usr/local
SANITIZE ?=

FOLDERS  := base kernels model engine wire net swarm node api app
VERSION  := $(shell cat VERSION 2>/dev/null || echo 0.1.0)

WARN     := -Wall -Wextra -Wshadow -Werror
OPT      ?= -O2 -g
HARDEN   := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
ifneq ($(SANITIZE),)
HARDEN   := -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer -fPIE
SANLINK  := -fsanitize=$(SANITIZE)
endif
COMMON   := $(OPT) $(HARDEN) $(WARN) -Isrc -I$(BUILD)/gen -D_GNU_SOURCE -DSHOAL_VERSION='"$(VERSION)"' -pthread -MMD -MP
# -ffp-contract=off: fma only where it is written (docs/ARCHITECTURE.md, exact arithmetic).
CFLAGS_ALL   := -std=c17 -Wconversion -Wstrict-prototypes -ffp-contract=off $(COMMON) $(CFLAGS)
CXXFLAGS_ALL := -std=c++17 $(COMMON) $(CXXFLAGS)
LDFLAGS_ALL  := -pie -pthread $(SANLINK) -Wl,-z,relro,-z,now $(LDFLAGS)

# What each folder's door needs; folders above it link it too.
PKG_base  := libcrypto libsodium jansson
PKG_net   := libevent libevent_openssl libevent_pthreads libssl libcurl
PKG_app   := ncursesw
PKG_agent := opendht libtorrent-rasterbar libseccomp libsodium jansson

pkg_cflags = $(if $(PKG_$(1)),$(shell pkg-config --cflags $(PKG_$(1)) 2>/dev/null))
pkg_libs   = $(if $(PKG_$(1)),$(shell pkg-config --libs $(PKG_$(1)) 2>/dev/null))

# The folders a folder may include from, as src/depends.txt says; highest first for the linker.
may_use    = $(shell sed -n 's/^$(1) *: *//p' src/depends.txt)
reverse    = $(if $(1),$(call reverse,$(wordlist 2,$(words $(1)),$(1))) $(firstword $(1)))
lib        = $(BUILD)/lib/lib$(1).a
# ... and what those use in turn: what the linker needs.
uses_all   = $(filter $(call may_use,$(1)) $(foreach f,$(call may_use,$(1)),$(call may_use,$(f))),$(call reverse,$(FOLDERS)))
libs_for   = $(foreach f,$(1) $(call uses_all,$(1)),$(call lib,$(f)))
ext_libs_for = $(foreach f,$(1) $(call uses_all,$(1)),$(call pkg_libs,$(f))) -lm

.PHONY: all deps demo test e2e faults chaos starts unit check bench asan tsan neon fuzz fuzz-targets install clean $(FOLDERS)
.DELETE_ON_ERROR:
all: $(BUILD)/shoal $(BUILD)/shoal-agent

# --- folders: src/FOLDER/**/*.c -> BUILD/lib/libFOLDER.a -------------------------------------------------
# In kernels/x86 and kernels/arm, of which only the machine's own is compiled, the end of a file's name is the
# instruction set that it alone is compiled for. Tiles of amx are numbers in the instruction: -O0 finds none there.
MACHINE := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
FOREIGN := $(if $(filter x86_64,$(MACHINE)),,src/kernels/x86/%) $(if $(filter aarch64,$(MACHINE)),,src/kernels/arm/%)
avx512_flags = -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mfma -mf16c
isa_flags = $(if $(filter %_avx2.o,$(1)),-mavx2 -mfma -mf16c)$(if \
 $(filter %_avxvnni.o,$(1)),-mavx2 -mfma -mf16c -mavxvnni)$(if $(filter %_avx512.o,$(1)),$(avx512_flags))$(if \
 $(filter %_amx.o,$(1)),$(avx512_flags) -mamx-tile -mamx-int8 -mamx-bf16 $(OPT:-O0=-O1))$(if \
 $(filter %_neon.o,$(1)),-march=armv8.2-a+dotprod+fp16)

define folder_rules
SRC_$(1) := $$(filter-out $(FOREIGN),$$(shell find src/$(1) -name '*.c' | sort))
OBJ_$(1) := $$(SRC_$(1):src/%.c=$(BUILD)/obj/%.o)
$(1): $(BUILD)/lib/lib$(1).a
$(BUILD)/lib/lib$(1).a: $$(OBJ_$(1))
	@mkdir -p $$(@D) && rm -f $$@
	@$(AR) rcs $$@ $$^
$$(OBJ_$(1)): EXTRA_CFLAGS = $(call pkg_cflags,$(1))
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_rules,$(f))))

$(BUILD)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(CFLAGS_ALL) $(EXTRA_CFLAGS) $(call isa_flags,$@) -c $< -o $@

# Files of the web console are inside the program.
WEB := $(wildcard web/*)
$(BUILD)/gen/web_assets.h: $(WEB) scripts/embed.py
	@mkdir -p $(@D)
	@python3 scripts/embed.py $(WEB) > $@
$(OBJ_api): $(BUILD)/gen/web_assets.h

$(BUILD)/shoal: $(foreach f,$(call reverse,$(FOLDERS)),$(call lib,$(f)))
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $(BUILD)/obj/app/main.o $^ $(call ext_libs_for,app)

# --- the agent: OpenDHT and libtorrent in a process of their own ------------------------------------------
SRC_agent := $(shell find src/agent -name '*.cpp' 2>/dev/null | sort)
OBJ_agent := $(SRC_agent:src/%.cpp=$(BUILD)/obj/%.o)
$(OBJ_agent): EXTRA_CXXFLAGS = $(call pkg_cflags,agent)
$(BUILD)/obj/agent/%.o: src/agent/%.cpp
	@mkdir -p $(@D)
	@echo "  CXX   $<"
	@$(CXX) $(CXXFLAGS_ALL) $(EXTRA_CXXFLAGS) -c $< -o $@
$(BUILD)/shoal-agent: $(OBJ_agent)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CXX) $(LDFLAGS_ALL) -o $@ $^ $(call pkg_libs,agent)

# --- tests: tests/unit/FOLDER/test_X.c links FOLDER and what it may use ----------------------------------
TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(shell find tests/unit -name 'test_*.c' | sort))
.SECONDEXPANSION:
# Those of node's shards link the simulator's ports too, those that need a swarm its clock and links.
NET_FAKES := tests/sim/fake_clock.c tests/sim/fake_links.c
fakes_for = $(if $(filter node/test_shards%,$(1)),$(wildcard tests/sim/fake_*.c))$(if \
 $(filter $(addprefix node/test_,commands coordinator pipeline plan propagation readiness timeline verdict verdict_causes) swarm/test_roster swarm/test_discovery swarm/test_discovery_explain,$(1)),$(NET_FAKES))
$(TESTS): $(BUILD)/tests/%: tests/unit/%.c $$(call fakes_for,$$*) $$(call libs_for,$$(firstword $$(subst /, ,$$*)))
	@mkdir -p $(@D)
	@echo "  TEST  $<"
	@$(CC) $(CFLAGS_ALL) -Itests -Itests/unit $(LDFLAGS_ALL) -o $@ $(filter %.c,$^) $(filter %.a,$^) $(call ext_libs_for,$(firstword $(subst /, ,$*))) -lcmocka
$(BUILD)/tests/kernels/test_levels_other: LDFLAGS_ALL += -Wl,--wrap=x86_is_amd
# Those of the agent start real ones.
$(filter $(BUILD)/tests/swarm/test_agent%,$(TESTS)): | $(BUILD)/shoal-agent
unit: $(TESTS)
	@tests/run_unit.sh $(TESTS)
# One folder's unit tests: make unit-model
unit-%: $$(foreach t,$$(TESTS),$$(if $$(findstring /tests/$$*/,$$t),$$t))
	@tests/run_unit.sh $^

# --- the simulator: a swarm in one process; randomness by seed and cheap signatures come by --wrap ----------
SIM_OBJ := $(patsubst tests/sim/%.c,$(BUILD)/obj/tests/sim/%.o,$(filter-out tests/sim/fake_links.c,$(wildcard tests/sim/*.c)))
SIM_WRAP := $(foreach f,randombytes_buf key_pair_new signature_new crypto_verify,-Wl,--wrap=$(f))
$(SIM_OBJ): $(BUILD)/obj/tests/sim/%.o: tests/sim/%.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(CFLAGS_ALL) -Itests -c $< -o $@
$(BUILD)/tests/sim/sim: $(SIM_OBJ) $(call libs_for,node)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(LDFLAGS_ALL) $(SIM_WRAP) -o $@ $^ $(call ext_libs_for,node)
# make sim SEEDS=10000 [FROM=1] [FAMILY=name]
SEEDS ?= 1000
FROM  ?= 1
sim: $(BUILD)/tests/sim/sim
	@$< --seeds $(SEEDS) --from $(FROM) $(if $(FAMILY),--family $(FAMILY))

# --- everything a newcomer calls ---------------------------------------------------------------------------
deps:
	@scripts/deps.sh test
demo: all
	@$(BUILD)/shoal demo
# Unit and golden tests, a hundred simulated swarms, then real processes (tests/e2e). Ends with "N passed, N failed, N skipped".
test: all $(TESTS) $(BUILD)/tests/sim/sim
	@SHOAL_BIN=$(abspath $(BUILD))/shoal SHOAL_AGENT=$(abspath $(BUILD))/shoal-agent \
	  SHOAL_SIM=$(abspath $(BUILD))/tests/sim/sim tests/run_all.sh $(TESTS)
e2e: all
	@SHOAL_BIN=$(abspath $(BUILD))/shoal python3 tests/e2e/run.py $(ONLY)
# Every fault that a person can cause, with real processes: make faults [ONLY=REGEX]; the table in $(BUILD)/faults.
faults: all
	@SHOAL_BIN=$(abspath $(BUILD))/shoal python3 tests/faults/run.py --json $(BUILD)/faults/faults.json --keep $(BUILD)/faults/doctor $(if $(ONLY),'$(ONLY)')
# Random faults in random swarms: make chaos [RUNS=300] [SEED=1] [ONLY=REGEX]; figures in $(BUILD)/chaos.json
RUNS ?= 300
SEED ?= 1
chaos: all
	@SHOAL_BIN=$(abspath $(BUILD))/shoal python3 tests/chaos/run.py --runs $(RUNS) --seed $(SEED) --json $(BUILD)/chaos.json $(if $(ONLY),--only '$(ONLY)')
# Eight nodes started N times: nothing is told once all are ready.
N ?= 100
starts: all
	@SHOAL_BIN=$(abspath $(BUILD))/shoal python3 tests/faults/starts.py $(N)
# The rules look at what the compiler warns of and what objects export: compiled without optimizing, in a third of the time.
check:
	@$(MAKE) BUILD=$(BUILD)/check OPT=-O0 HARDEN=-fPIE $(BUILD)/check/shoal
	@python3 scripts/check.py --build $(BUILD)/check
	@python3 scripts/make_man.py --shoal $(BUILD)/check/shoal --check man/shoal.1
bench: all $(BUILD)/bench/kernels $(BUILD)/bench/link_hop
	@SHOAL_BIN=$(abspath $(BUILD))/shoal bench/run.sh $(BUILD)/bench/kernels $(BUILD)/bench/link_hop $(MODEL)
$(BUILD)/bench/%: bench/%.c $(call libs_for,engine)
	@mkdir -p $(@D)
	@echo "  BENCH $<"
	@$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(filter %.a,$^) $(call ext_libs_for,engine)
$(BUILD)/bench/link_hop: bench/link_hop.c $(call libs_for,swarm)
	@mkdir -p $(@D)
	@echo "  BENCH $<"
	@$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(filter %.a,$^) $(call ext_libs_for,swarm)
asan:
	@$(MAKE) BUILD=$(BUILD)-asan SANITIZE=address,undefined test
tsan:
	@$(MAKE) BUILD=$(BUILD)-tsan SANITIZE=thread unit
# The kernels and their tests for AArch64, under qemu; skipped where the tools for that are absent.
neon:
	@scripts/neon.sh $(BUILD)-neon

# Fuzzing: make fuzz SECONDS=30 [ONLY=fz_gguf]. The first line of a target names the folder it links, and `sim`
# after it those of the simulator's ports that have no disk.
SECONDS ?= 30
fuzz:
	@$(MAKE) BUILD=$(BUILD)-fuzz CC=clang CXX=clang++ SANITIZE=fuzzer-no-link,address,undefined OPT="-O1 -g" fuzz-targets
	@tests/run_fuzz.sh $(BUILD)-fuzz $(SECONDS) $(if $(ONLY),'$(ONLY)')
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fz_*.c))
fuzz-targets: $(FUZZERS)
fuzz_folder = $(shell sed -n '1s/.*links: *\([a-z]*\).*/\1/p' tests/fuzz/$(1).c)
fuzz_fakes  = $(if $(shell sed -n '1s/.*links: *[a-z]* sim.*/yes/p' tests/fuzz/$(1).c),$(NET_FAKES))
$(FUZZERS): $(BUILD)/fuzz/%: tests/fuzz/%.c $$(call fuzz_fakes,$$*) $$(call libs_for,$$(call fuzz_folder,$$*))
	@mkdir -p $(@D)
	@echo "  FUZZ  $<"
	@$(CC) $(CFLAGS_ALL) -Itests -fsanitize=fuzzer,address,undefined -o $@ $(filter %.c,$^) $(filter %.a,$^) $(call ext_libs_for,$(call fuzz_folder,$*))

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/shoal
	install $(BUILD)/shoal $(BUILD)/shoal-agent $(DESTDIR)$(PREFIX)/bin/
	install -m 644 man/shoal.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 models/*.gguf $(DESTDIR)$(PREFIX)/share/shoal/
clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-fuzz $(BUILD)-neon

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
