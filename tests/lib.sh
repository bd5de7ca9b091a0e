# Shell functions that every script of the project shares: what to install, how to speak. Source it; it runs nothing.

say() { printf '\033[1m%s\033[0m\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# ticking WHAT COMMAND…: runs it, and says every 10 s that it still does, for a silent window looks like a hung one.
ticking() {
  local what=$1 began=$SECONDS status=0 done
  shift
  # Its standard input ends with this shell, however that ends.
  exec {done}> >(until read -rt 10; [ $? -le 128 ]; do printf '    … %s: %d s\n' "$what" "$((SECONDS - began))" >&2; done)
  "$@" {done}>&- || status=$?
  exec {done}>&-
  return "$status"
}

# patiently WHAT COMMAND…: the same for a command whose own words matter only when it fails: then they are shown.
patiently() {
  local log status=0
  log=$(mktemp)
  ticking "$1" into "$log" "${@:2}" || status=$?
  [ "$status" -eq 0 ] || cat "$log" >&2
  rm -f "$log"
  return "$status"
}
into() { "${@:2}" >"$1" 2>&1; }

# need_debian PACKAGE…: installs the Debian packages that are missing, without starting any service they bring.
need_debian() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ "${#missing[@]}" -eq 0 ] && return 0
  [ "$(id -u)" -eq 0 ] || fail "these Debian packages are missing: ${missing[*]}; install them, or run this as root"
  # To standard error: that of a script which calls this may be its result, as build-deb's paths are.
  say "installing ${missing[*]}" >&2
  local policy=/usr/sbin/policy-rc.d own_policy=
  if [ ! -e "$policy" ]; then
    # 101 is "action forbidden by policy": a freshly installed nginx must not take port 80 of this machine.
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
    own_policy=1
  fi
  local status=0
  patiently "installing" apt_install "${missing[@]}" || status=$?
  [ -z "$own_policy" ] || rm -f "$policy"
  [ "$status" -eq 0 ] || fail "apt-get could not install: ${missing[*]}"
}
apt_install() {
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends)
  # The lists of a fresh machine are empty, and old ones name versions that are gone.
  "${apt[@]}" "$@" || { apt-get update -qq && "${apt[@]}" "$@"; }
}

# need_localhost: that its name is known. A Debian without an installer's or a container's /etc/hosts does not know it.
need_localhost() {
  getent hosts localhost >/dev/null && return 0
  [ "$(id -u)" -eq 0 ] || fail "localhost has no address; add \"127.0.0.1 localhost\" to /etc/hosts, or run this as root"
  printf '127.0.0.1 localhost\n' >> /etc/hosts
}

# need_node: Node and npm, of whatever make: nodesource's nodejs brings npm along, Debian's does not.
need_node() { { command -v node && command -v npm; } >/dev/null || need_debian nodejs npm; }

# need_rust: Rust as new as Cargo.toml asks for. The first thing to look at: a too old one fails after minutes, and says it badly.
need_rust() {
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$(dirname "${BASH_SOURCE[0]}")/../Cargo.toml")
  local how="install Rust $wanted or newer with rustup (https://rustup.rs)"
  for program in cargo rustc; do
    command -v "$program" >/dev/null || fail "$program was not found; $how"
    found=$("$program" --version | cut -d ' ' -f 2)
    printf '%s\n' "$wanted" "${found%%-*}" | sort --version-sort --check=quiet ||
      fail "$(command -v "$program") is version $found, and hlsgate needs $wanted; Debian's own is too old: $how, and open a new shell"
  done
}

# need_compiler: Rust, and what cargo needs beside it (a linker, and a C compiler for the TLS library).
need_compiler() {
  need_rust
  command -v cc >/dev/null || need_debian gcc libc6-dev
}

# build_debug [OPTION…]: the daemon and the stand-in BTCPay, from the project's root. Always both: each choice of packages has its
# own features of the dependencies, and another choice would compile most of them anew.
build_debug() {
  need_compiler
  ticking "building" cargo build --locked --package hlsgate --package btcpay-double --bins "$@"
}

# need_cargo_tool NAME VERSION: prints the path of a tool from crates.io, which cargo keeps between clones. Pinned, so that the same
# rules and packages come out everywhere; built to be there soon rather than to be fast, for it runs for seconds.
need_cargo_tool() {
  local kept=${CARGO_HOME:-$HOME/.cargo}/bin/$1
  if [ ! -x "$kept" ] && ! command -v "$1"; then
    say "building $1, once" >&2
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
      patiently "building $1" cargo install --locked "$1@$2" || return 1
  fi
  [ ! -x "$kept" ] || printf '%s\n' "$kept"
}

# need_libraries ROOT: those of the viewer's pages (hls.js, Plyr, the QR code) in vendor/, from npm unless the lockfile's are there.
need_libraries() {
  local site=$1/examples/site
  # The last one that is copied, for a copy may have been broken off.
  [ "$site/vendor/lean-qr.LICENSE.txt" -nt "$site/package-lock.json" ] || patiently "fetching the pages' libraries" node "$site/vendor.mjs"
}
