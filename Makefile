# `make` builds the programs, as the course's graders expect. The launcher `3700kvstore` runs what it has built, so that
# is in `target` whatever CARGO_TARGET_DIR says.

.PHONY: all test clean

all:
	cargo build --release --target-dir target

test:
	cargo test

clean:
	cargo clean --target-dir target
