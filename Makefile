# `make` builds the programs, as the course's graders expect. The launcher `3700kvstore` runs what it has built.

.PHONY: all test clean

all:
	cargo build --release

test:
	cargo test

clean:
	cargo clean
