#!/bin/sh
# The kernels for AArch64 and their unit tests, cross-compiled and run under qemu: make neon.
# usage: scripts/neon.sh BUILD     without the tools it says what is missing and does nothing
set -eu
build=$1 sysroot=$1/sysroot
packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static"

for tool in aarch64-linux-gnu-gcc aarch64-linux-gnu-ar qemu-aarch64-static; do
    command -v $tool >/dev/null && continue
    echo "neon: skipped: no $tool; it comes with: apt-get install $packages"
    exit 0
done

# The libraries that base and the tests need, unpacked here rather than installed.
if [ ! -e "$sysroot/done" ]; then
    mkdir -p "$sysroot/packages"
    if ! (cd "$sysroot/packages" && apt-get download -q $(printf '%s:arm64 ' libcmocka0 libcmocka-dev libsodium23 \
        libsodium-dev libjansson4 libjansson-dev libssl3 libssl-dev) >log 2>&1); then
        echo "neon: skipped: no arm64 packages; they come with: dpkg --add-architecture arm64 && apt-get update"
        exit 0
    fi
    for package in "$sysroot"/packages/*.deb; do dpkg -x "$package" "$sysroot"; done
    touch "$sysroot/done"
fi

root=$(cd "$sysroot" && pwd)
lib=$root/usr/lib/aarch64-linux-gnu
export PKG_CONFIG_LIBDIR="$lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root" MAKEFLAGS=
export RUNNER="qemu-aarch64-static -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH=$lib"
exec make -j "${JOBS:-2}" BUILD="$build" CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar \
    CFLAGS="-I$root/usr/include -I$root/usr/include/aarch64-linux-gnu" \
    LDFLAGS="-L$lib -Wl,-rpath-link,$lib" unit-kernels
