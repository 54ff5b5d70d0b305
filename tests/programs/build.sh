#!/usr/bin/env bash
# Builds all programs of this folder that need building, into target/programs/<name>/. For each it says `built NAME`, or
# `skipped NAME: no TOOL`. What a program consists of is built again only if it is newer than the result.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(cd "$here/../.." && pwd)/target/programs

# Whether all these tools work. A version manager leaves commands that exist and do not run.
missing() {
    local tool
    for tool in "$@"; do
        if ! { "$tool" --version || "$tool" version; } > /dev/null 2>&1; then
            echo "$tool"
            return 0
        fi
    done
    return 1
}

# Whether a result is there and no file of the folder is newer, nor this script.
is_fresh() {
    local result=$1 folder=$2
    [ -e "$result" ] && [ -z "$(find "$folder" "$here/build.sh" -type f -newer "$result" -print -quit)" ]
}

# build NAME SOURCES RESULT "TOOLS" COMMAND...: runs the command in the folder of the sources.
build() {
    local name=$1 sources=$here/$2 result=$out/$3 tools=$4 tool
    shift 4
    # shellcheck disable=SC2086 # a list of words
    if tool=$(missing $tools); then
        echo "skipped $name: no $tool"
        return
    fi
    if ! is_fresh "$result" "$sources"; then
        mkdir -p "$(dirname "$result")"
        (cd "$sources" && "$@" "$result") >&2
        # A tool that found nothing to do leaves an old time.
        touch "$result"
    fi
    echo "built $name"
}

with_go() {
    CGO_ENABLED=0 go build -trimpath -o "$1" .
}

with_c() {
    gcc -std=c11 -O2 -Wall -Wextra -pthread -o "$2" "$1"
}

with_static_c() {
    gcc -std=c11 -O2 -Wall -Wextra -pthread -static -o "$2" "$1"
}

with_cpp() {
    g++ -std=c++17 -O2 -Wall -Wextra -pthread -o "$2" "$1"
}

# The launcher stands beside the classes.
with_java() {
    javac -d "$(dirname "$2")" "$1"
    cp "$(basename "$2")" "$2"
}

# One target folder for all, so that what they share is compiled once.
with_cargo() {
    cargo build --quiet --release --locked --target-dir "$out/cargo"
    cp "$out/cargo/release/$1" "$2"
}

build go go go/3700kvstore go with_go
build c c c/3700kvstore gcc with_c replica.c
build cpp cpp cpp/3700kvstore g++ with_cpp replica.cpp
build java java java/3700kvstore "javac java" with_java Replica.java
build rust-std rust-std rust-std/3700kvstore cargo with_cargo 3700kvstore
build rust-tokio rust-tokio rust-tokio/3700kvstore cargo with_cargo 3700kvstore

build audit-go entropy/go audit-go/audit go with_go
build audit-c entropy/c audit-c/audit gcc with_c audit.c
build audit-c-static entropy/c audit-c-static/audit gcc with_static_c audit.c
build audit-java entropy/java audit-java/audit "javac java" with_java Audit.java
build audit-rust entropy/rust audit-rust/audit cargo with_cargo audit
