# Two commands matter: `make demo` shows what Keystile does, `make test` proves it.

# A target directory outside the clone is used when it exists, so that a fresh clone need not build
# the world again. Nothing makes it by itself: `mkdir -p ~/.cache/keystile/target` does.
SHARED_TARGET := $(HOME)/.cache/keystile/target
ifndef CARGO_TARGET_DIR
ifneq ($(wildcard $(SHARED_TARGET)/.),)
export CARGO_TARGET_DIR := $(SHARED_TARGET)
endif
endif

TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),$(CURDIR)/target)

.PHONY: demo test check advisories bench crash screenshots mutants fuzz fuzz-corpus artifacts install vectors wasm-target

## The main job, told step by step, in a temporary store.
demo: wasm-target
	cargo run --quiet --package keystile-cli -- demo

## Every test: unit, property, golden, conformance, crash.
test: wasm-target
	cargo build --quiet --package keystile-cli
	@export KEYSTILE_BIN="$(TARGET)/debug/keystile"; \
	if cargo nextest --version >/dev/null 2>&1; then \
		set -e; cargo nextest run --no-fail-fast; cargo test --quiet --doc; \
	else cargo test --no-fail-fast; fi

## Format, lints, licences, documentation, vectors: what a commit must pass besides the tests.
check: wasm-target
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --quiet --workspace --no-deps
	python3 tests/vectors/generate.py --check
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --log-level error check bans licenses sources; \
	else echo "skipped: cargo-deny is not installed · run: cargo install cargo-deny --locked"; fi

## Known vulnerabilities of what this is built on; fetches the database.
advisories:
	cargo deny --log-level error check advisories

## Speed, as ratios: keys to native SHA-256, tokens to native `jsonwebtoken`, each in the same run; then, in
## milliseconds, revokes while another process imports 1,000,000 keys, and the terminal UI over 100,000 keys.
bench: wasm-target
	cargo bench --package keystile-tests --bench verify
	cargo bench --package keystile-tests --bench tokens
	cargo bench --package keystile-tests --bench import
	cargo bench --package keystile-tui --bench keys

## kill -9 at a random moment, 1,000 times.
crash: wasm-target
	KEYSTILE_CRASH_ROUNDS=1000 cargo test --package keystile-tests --test main -- crash::an_acknowledged_change_survives_kill_9 --exact --nocapture

## Records docs/walk.cast and draws docs/*.svg, with the real terminal UI over a store that is thrown away.
screenshots: wasm-target
	cargo test --package keystile-tui --test main -- walk::a_walk_for_the_documents --exact --ignored

## Changes the rules and parsers of the validator one at a time: a test of that crate must notice each change.
## Settings: .cargo/mutants.toml. It takes hours.
mutants:
	@cargo mutants --version >/dev/null 2>&1 \
		|| { echo "cargo-mutants is not installed · run: cargo install cargo-mutants --locked"; exit 1; }
	CARGO_PROFILE_DEV_DEBUG=0 PROPTEST_CASES=32 cargo mutants

## Every parser of the validator, FUZZ_SECONDS each, one after the other; FUZZ_TARGETS=token for one.
FUZZ_SECONDS ?= 300
FUZZ_TARGETS ?= $(basename $(notdir $(wildcard tests/fuzz/libfuzzer/fuzz_targets/*.rs)))
# What a run finds worth keeping goes on in the next one, and never into the kept corpus by itself.
FUZZ_FOUND := $(TARGET)/fuzz/found
fuzz:
	@cargo +nightly --version >/dev/null 2>&1 \
		|| { echo "fuzzing needs a nightly compiler · run: rustup toolchain install nightly --profile minimal"; exit 1; }
	@cargo +nightly fuzz --version >/dev/null 2>&1 \
		|| { echo "cargo-fuzz is not installed · run: cargo install cargo-fuzz --locked"; exit 1; }
	@set -e; for target in $(FUZZ_TARGETS); do \
		mkdir -p "$(FUZZ_FOUND)/$$target"; \
		cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer --target-dir "$(TARGET)/fuzz" $$target \
			"$(FUZZ_FOUND)/$$target" "tests/fuzz/corpus/$$target" \
			-- -max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1; \
	done

## Writes the made part of tests/fuzz/corpus; what is there is left as it is.
fuzz-corpus:
	cargo run --quiet --package keystile-fuzz --example corpus

## The wasm modules, the component and the JavaScript package, into dist/.
artifacts: wasm-target
	cargo run --release --quiet --package keystile-artifacts --all-features --bin artifacts -- dist

## The `keystile` command and the terminal UI, optimized, into cargo's bin folder.
install: wasm-target
	cargo install --locked --path host/cli
	cargo install --locked --path tui

## Writes tests/vectors/verdicts.json anew.
vectors:
	python3 tests/vectors/generate.py

# The validator is compiled for this target. Without rustup, the build script says what to do.
wasm-target:
	@rustc --print target-libdir --target wasm32-unknown-unknown | xargs test -d \
		|| rustup target add wasm32-unknown-unknown
