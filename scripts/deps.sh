#!/bin/sh
# Installs what is missing of the packages that shoal is built from and tested with (Debian, Ubuntu).
# usage: scripts/deps.sh [build|test]    test: also what the tests and checks need. Does nothing when all is there.
set -eu
build="make pkg-config gcc g++ python3 libevent-dev libssl-dev libsodium-dev libjansson-dev libcurl4-openssl-dev
    libncurses-dev libseccomp-dev libopendht-dev libtorrent-rasterbar-dev"
test="libcmocka-dev clang clang-format libclang-rt-dev binutils"
[ "${1:-build}" = test ] && wanted="$build $test" || wanted=$build

# The package of libFuzzer's and the sanitizers' run time carries clang's version in its name.
rt=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/libclang-rt-\1-dev/p' | head -n 1)
missing=
for package in $wanted; do
    [ "$package" = libclang-rt-dev ] && package=$rt
    [ -n "$package" ] || continue
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then sudo=; elif command -v sudo >/dev/null; then sudo=sudo; else
    echo "shoal: these packages are missing:$missing; install them as root, then try again" >&2
    exit 3
fi
echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# A fresh machine has no package lists: those are fetched only when they are needed.
if ! $sudo apt-get install -y --no-install-recommends $missing </dev/null >/dev/null 2>&1; then
    $sudo apt-get update </dev/null >/dev/null
    $sudo apt-get install -y --no-install-recommends $missing </dev/null >/dev/null
fi
