# dreamdb.h: make, make demo, make test, make check-all, make interop, make s3-test, make bench, make bench-s3, make fuzz, make year, make soak,
# make clean.
# Needs a C compiler, GNU make and python3; check-all uses more and says what it skips.
CC      ?= cc
CXX     ?= c++
PYTHON  ?= python3
BUILD   ?= build
JOBS    ?= 2
OPT     ?= -O2
TESTOPT ?= -O1
EMBEDOPT ?= -Os
EXTRA   ?=
WARN    := -Wall -Wextra -Wpedantic -Wconversion -Wshadow
STD     ?= -std=c99
LINK    := -lpthread
export CC CXX PYTHON BUILD JOBS EXTRA

TESTS    := $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/test_*.c)) tests/fault.c)
EXAMPLES := $(addprefix $(BUILD)/examples/,smallest store_table embedded game s3_transport)
HAVE_CXX := $(shell command -v $(CXX) >/dev/null 2>&1 && echo yes)
HAVE_SQL := $(shell printf '\043include <sqlite3.h>\nint main(void){return sqlite3_libversion()==0;}' | $(CC) -x c - -lsqlite3 -o /dev/null >/dev/null 2>&1 && echo yes)
# libcurl carries https; without it the command speaks http only and says so.
HAVE_CURL ?= $(shell printf '\043include <curl/curl.h>\nint main(void){return curl_version()==0;}' | $(CC) -x c - -lcurl -o /dev/null >/dev/null 2>&1 && echo yes)
ifeq ($(HAVE_CURL),yes)
S3_FLAGS := -DDREAMDB_S3_CURL
S3_LINK  := -lcurl
endif
ifeq ($(HAVE_CXX),yes)
EXAMPLES += $(BUILD)/examples/hello
endif
ifeq ($(HAVE_SQL),yes)
EXAMPLES += $(BUILD)/examples/store_sqlite
endif

.PHONY: all demo test programs check-all interop s3-test bench bench-s3 fuzz clean figures \
        check-layers check-warnings check-configs check-hygiene check-asan check-tsan check-clang check-floats check-musl \
        check-cross check-examples check-fault check-fuzz check-interop check-s3 check-year check-soak year soak

# ---- What make alone does: the command, and the figures of the header
all: $(BUILD)/dreamdb figures

figures: $(BUILD)/dreamdb.o
	@sh tools/size.sh

# The library, compiled once for everything that uses it from outside.  The time it takes is kept for the figures.  Under the sanitizers
# (ONE_OBJECT) it is the object of the white-box tests: a second compile of 40 seconds would be of the same code.
ifdef ONE_OBJECT
$(BUILD)/dreamdb.o: $(BUILD)/white.o
	@cp $< $@
else
$(BUILD)/dreamdb.o: examples/dreamdb.c dreamdb.h
	@mkdir -p $(BUILD)
	@$(PYTHON) tools/timed.py $(BUILD)/dreamdb.o.seconds $(CC) $(STD) $(OPT) $(WARN) $(EXTRA) -c examples/dreamdb.c -o $@
endif

$(BUILD)/dreamdb_s3.o: examples/dreamdb_s3.c dreamdb_s3.h dreamdb.h
	@mkdir -p $(BUILD)
	$(CC) $(STD) $(OPT) $(WARN) $(EXTRA) $(S3_FLAGS) -c examples/dreamdb_s3.c -o $@

$(BUILD)/dreamdb: tools/dreamdb.c $(BUILD)/dreamdb.o $(BUILD)/dreamdb_s3.o dreamdb.h dreamdb_s3.h
	@mkdir -p $(BUILD)
	$(CC) $(STD) $(OPT) $(WARN) $(EXTRA) tools/dreamdb.c $(BUILD)/dreamdb.o $(BUILD)/dreamdb_s3.o $(S3_LINK) $(LINK) -o $@

$(BUILD)/driver: tests/interop/driver.c $(BUILD)/dreamdb.o dreamdb.h
	$(CC) $(STD) $(OPT) $(WARN) $(EXTRA) tests/interop/driver.c $(BUILD)/dreamdb.o $(LINK) -o $@

demo: $(BUILD)/dreamdb
	@bash examples/demo/demo.sh

# ---- Tests
# The white-box tests share one object of the implementation whose private functions are visible, and a header of their prototypes that
# tests/white.py writes: a test alone compiles in a second.  A test that puts macros of its own under the implementation takes that in (DIRECT).
DIRECT := $(addprefix $(BUILD)/tests/,test_store)
$(BUILD)/white.o: examples/dreamdb.c dreamdb.h
	@mkdir -p $(BUILD)
	$(CC) $(STD) $(TESTOPT) $(WARN) $(EXTRA) -DDREAMDB_TEST -DDREAMDB_TEST_SHARED -c examples/dreamdb.c -o $@

$(BUILD)/dreamdb_white.h: dreamdb.h tests/white.py
	@mkdir -p $(BUILD)
	@$(PYTHON) tests/white.py dreamdb.h $@

.PRECIOUS: $(BUILD)/tests/%.o
$(BUILD)/tests/%.o: tests/%.c $(wildcard tests/*.h) dreamdb_s3.h $(BUILD)/dreamdb_white.h
	@mkdir -p $(BUILD)/tests
	$(CC) $(STD) $(TESTOPT) $(WARN) $(EXTRA) -DTEST_WHITE -I$(BUILD) -c $< -o $@

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(BUILD)/white.o
	$(CC) $(EXTRA) $^ $(LINK) -o $@

$(DIRECT): $(BUILD)/tests/%: tests/%.c tests/test.h dreamdb.h
	@mkdir -p $(BUILD)/tests
	$(CC) $(STD) $(TESTOPT) $(WARN) $(EXTRA) $< $(LINK) -o $@

# The fault sweep needs only the public half.
$(BUILD)/tests/fault: tests/fault.c $(BUILD)/dreamdb.o dreamdb.h
	@mkdir -p $(BUILD)/tests
	$(CC) $(STD) $(TESTOPT) $(WARN) $(EXTRA) tests/fault.c $(BUILD)/dreamdb.o $(LINK) -o $@

$(BUILD)/smoke: tests/smoke.c dreamdb.h
	@mkdir -p $(BUILD)
	$(CC) $(STD) $(TESTOPT) $(WARN) $(EXTRA) -DDREAMDB_IMPLEMENTATION tests/smoke.c $(LINK) -o $@

# ---- Examples: embedded compiles the implementation itself, with its own switches; the others link the two-line dreamdb.c
$(BUILD)/examples/%: examples/%.c $(BUILD)/dreamdb.o dreamdb.h
	@mkdir -p $(BUILD)/examples
	$(CC) $(STD) $(OPT) $(WARN) $(EXTRA) $< $(BUILD)/dreamdb.o $(LINK) -o $@

$(BUILD)/examples/embedded: examples/embedded.c dreamdb.h
	@mkdir -p $(BUILD)/examples
	$(CC) $(STD) $(EMBEDOPT) $(WARN) $(EXTRA) examples/embedded.c -o $@

$(BUILD)/examples/s3_transport: examples/s3_transport.c $(BUILD)/dreamdb.o dreamdb.h dreamdb_s3.h
	@mkdir -p $(BUILD)/examples
	$(CC) $(STD) $(OPT) $(WARN) $(EXTRA) $< $(BUILD)/dreamdb.o $(LINK) -o $@

$(BUILD)/examples/store_sqlite: examples/store_sqlite.c $(BUILD)/dreamdb.o dreamdb.h
	@mkdir -p $(BUILD)/examples
	$(CC) $(STD) $(OPT) $(WARN) $(EXTRA) $< $(BUILD)/dreamdb.o -lsqlite3 $(LINK) -o $@

$(BUILD)/examples/hello: examples/hello.cpp $(BUILD)/dreamdb.o dreamdb.h
	@mkdir -p $(BUILD)/examples
	$(CXX) -std=c++17 $(OPT) $(WARN) $(EXTRA) $< $(BUILD)/dreamdb.o $(LINK) -o $@

$(BUILD)/s3_race: tests/s3/race.c $(BUILD)/dreamdb.o $(BUILD)/dreamdb_s3.o dreamdb.h dreamdb_s3.h
	@mkdir -p $(BUILD)
	$(CC) $(STD) $(TESTOPT) $(WARN) $(EXTRA) tests/s3/race.c $(BUILD)/dreamdb.o $(BUILD)/dreamdb_s3.o $(S3_LINK) $(LINK) -o $@

$(BUILD)/fuzz_replay: $(wildcard tests/fuzz/*.[ch]) tools/dreamdb.c dreamdb_s3.h $(BUILD)/dreamdb_white.h $(BUILD)/white.o
	@mkdir -p $(BUILD)
	$(CC) $(STD) $(TESTOPT) $(WARN) $(EXTRA) -DTEST_WHITE -I$(BUILD) tests/fuzz/all.c tests/fuzz/replay.c $(BUILD)/white.o $(LINK) -o $@

programs: $(BUILD)/dreamdb $(BUILD)/driver $(TESTS) $(EXAMPLES) $(BUILD)/fuzz_replay

test:
	@$(PYTHON) tests/run.py test

# ---- The long runs: a year of daily work beside a model; kill -9 in the middle of verbs
$(BUILD)/year $(BUILD)/soak: $(BUILD)/%: tests/%.c tests/year.h $(BUILD)/dreamdb.o dreamdb.h
	@mkdir -p $(BUILD)
	$(CC) $(STD) $(TESTOPT) $(WARN) $(EXTRA) $< $(BUILD)/dreamdb.o $(LINK) -o $@

SOAK_RUNS ?= 2000
year: $(BUILD)/year
	@$(PYTHON) tests/year.py
soak: $(BUILD)/soak
	@$(BUILD)/soak --runs $(SOAK_RUNS)
check-year: $(BUILD)/year
	@$(PYTHON) tests/year.py --short
check-soak: $(BUILD)/soak
	@$(BUILD)/soak --runs 100

# ---- The gate: one target each, all of them by check-all
check-all:
	@$(PYTHON) tests/run.py check-all

check-layers:
	@$(PYTHON) tests/layers_mutation.py
check-hygiene check-warnings check-configs:
	@$(PYTHON) tests/matrix.py $(patsubst check-%,%,$@)
# The sanitizers make gcc see uninitialized values where there are none; check-warnings looks for those.
SANITIZED := OPT="-O1 -g1" TESTOPT="-O1 -g1" EMBEDOPT="-O0 -g1" ONE_OBJECT=1
STRICT    := -Werror -Wno-maybe-uninitialized
check-asan:
	@$(MAKE) --no-print-directory BUILD=build/asan EXTRA="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer $(STRICT)" $(SANITIZED) suite-programs
check-tsan:
	@$(MAKE) --no-print-directory BUILD=build/tsan EXTRA="-fsanitize=thread $(STRICT)" $(SANITIZED) suite-threads
check-clang:
	@$(MAKE) --no-print-directory BUILD=build/clang CC=clang CXX=clang++ EXTRA=-Werror suite-programs
check-floats check-musl check-cross:
	@$(PYTHON) tests/targets.py $(patsubst check-%,%,$@)
check-examples:
	@$(PYTHON) tests/run.py examples
check-fault: $(BUILD)/tests/fault
	@$(BUILD)/tests/fault
check-fuzz:
	@$(PYTHON) tests/run.py replay
interop: $(BUILD)/driver
	@$(PYTHON) tests/interop/interop.py --driver $(BUILD)/driver --jobs $(JOBS) $(INTEROP)
check-interop: $(BUILD)/driver                   # the gate has 40 minutes: fewer cases of each kind
	@$(PYTHON) tests/interop/interop.py --driver $(BUILD)/driver --jobs $(JOBS) --cases 260 --coded 100 $(INTEROP)

# A whole suite under other flags (used with BUILD and EXTRA set).
.PHONY: suite-programs suite-threads
suite-programs suite-threads:
	@$(PYTHON) tests/run.py $(patsubst suite-%,%,$@)

# Peers (faiss-cpu, the reference, BLAKE3's C library) come by tools/bench/peers.sh; a part whose peer is missing says so.
bench: $(BUILD)/dreamdb
	@$(PYTHON) tools/bench/bench.py $(BENCH)

# The store of dreamdb_s3.h against real servers: those that are installed, and with S3_INSTALL=1 those that go install can build.
s3-test check-s3: $(BUILD)/dreamdb $(BUILD)/s3_race
	@$(PYTHON) tests/s3/s3_test.py $(S3_TEST)
bench-s3: $(BUILD)/dreamdb $(BUILD)/s3_race
	@$(PYTHON) tests/s3/s3_bench.py $(S3_BENCH)

# Runs each target for FUZZ_SECONDS with libFuzzer; without clang the corpus is replayed with more mutations.
FUZZ_SECONDS ?= 60
fuzz:
	@$(PYTHON) tests/run.py fuzz --seconds $(FUZZ_SECONDS)

clean:
	rm -rf build
