# shellcheck shell=bash
# Shell functions shared by tests/run, tests/bench/run and examples/run. Source it; it
# sets `root` to the project's folder and runs nothing.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '== %s\n' "$*" >&2; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# Installs those packages of the named groups of tests/packages that are missing.
need_packages() {
  local group package missing=()
  while read -r group package; do
    if [[ " $* " == *" $group "* ]] && ! installed "$package"; then
      missing+=("$package")
    fi
  done < <(grep -v '^#' "$root/tests/packages")
  if ((${#missing[@]} == 0)); then
    return 0
  fi

  command -v apt-get > /dev/null ||
    die "needs these Debian packages, or what your system calls them: ${missing[*]}"
  local as_root=()
  if ((EUID != 0)); then
    if ! command -v sudo > /dev/null || { ! sudo -n true 2> /dev/null && [[ ! -t 0 ]]; }; then
      die "missing packages; install them as root: apt-get install ${missing[*]}"
    fi
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq
    -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
  "${apt[@]}" update
  # Tests start servers of their own: those that come with the packages stay off.
  (
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
      trap '"${as_root[@]}" rm -f "$policy"' EXIT
      printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" > /dev/null
      "${as_root[@]}" chmod +x "$policy"
    fi
    "${apt[@]}" install -y --no-install-recommends "${missing[@]}" > /dev/null
  )
}

installed() {
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null) == installed ]]
}

# build PRESET [TARGET…]: configures build/PRESET and builds the targets, or everything.
# Both are quiet unless they fail.
build() {
  local preset=$1 targets=()
  shift
  if (($# > 0)); then
    targets=(--target "$@")
  fi
  cd "$root" || exit
  quietly "configuring $preset" cmake --preset "$preset"
  quietly "building $preset" cmake --build --preset "$preset" "${targets[@]}"
}

quietly() {
  local what=$1 log
  shift
  log=$(mktemp)
  say "$what"
  if ! "$@" > "$log" 2>&1; then
    tail -n 100 "$log" >&2
    rm -f "$log"
    die "$what failed: $*"
  fi
  rm -f "$log"
}
