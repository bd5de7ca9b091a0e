# What every finding shares; source it first. It makes a temporary folder, `$place`, which goes with the script, and everything that is
# installed lies in it: nothing of this machine changes. What was seen is compared with what was seen before (`seen`), and one
# difference makes the script exit with 1.
set -euo pipefail

place=$(mktemp -d)
changed=0 compared=0 started=()

leave() {
  local status=$?
  for process in "${started[@]}"; do
    kill "$process" 2>/dev/null || true
    wait "$process" 2>/dev/null || true
  done
  rm -rf "$place"
  [ "$status" -eq 0 ] || exit "$status"
  [ "$compared" -gt 0 ] || { echo "nothing was compared" >&2; exit 1; }
  exit "$changed"
}
trap leave EXIT

# seen WHAT VALUE BEFORE: prints it, and notes whether it is what it was when the finding was written.
seen() {
  printf '%-72s %s\n' "$1" "$2"
  compared=$((compared + 1))
  [ "$2" = "$3" ] || { printf '    changed: it was %s\n' "$3"; changed=1; }
}

# background COMMAND…: runs until the script ends.
background() {
  "$@" &
  started+=("$!")
}

# await CONDITION…: until the command succeeds, for at most 20 s.
await() {
  local tries=200
  until "$@" 2>/dev/null; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || { echo "waited in vain for: $*" >&2; return 1; }
    sleep 0.1
  done
}

# from_debian NAME=VERSION…: Debian 12's packages of that version (`*` for its own revision) with all that they need, unpacked into
# `$place/debian`. For a machine whose sources are Debian 12's; root is not needed.
from_debian() {
  local apt=(apt-get -qq -o "Dir::State::status=$place/status" -o "Dir::Cache::archives=$place/archives/" -o Debug::NoLocking=1
    -o APT::Sandbox::User= -o APT::Install-Recommends=false)
  mkdir -p "$place/archives/partial" "$place/lists/partial" "$place/debian"
  : >"$place/status"
  if ! "${apt[@]}" --yes --download-only install "$@" >"$place/apt.log" 2>&1; then
    apt+=(-o "Dir::State::lists=$place/lists/")
    { "${apt[@]}" update && "${apt[@]}" --yes --download-only install "$@"; } >"$place/apt.log" 2>&1 || { cat "$place/apt.log" >&2; return 1; }
  fi
  local package
  for package in "$place"/archives/*.deb; do
    dpkg-deb --extract "$package" "$place/debian"
  done
  rm -r "$place/archives"
  debian=("$(find "$place/debian/lib" -name 'ld-linux*.so.*' -print -quit)" --library-path
    "$(find "$place/debian/lib" "$place/debian/usr/lib" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)")
}

# debian PATH ARGUMENT…: a program of `from_debian`, with its own libraries.
debian() { "${debian[@]}" "$place/debian/$1" "${@:2}"; }

# from_npm NAME@VERSION…: into `$place/node_modules`, without running any script of theirs.
from_npm() { npm install --prefix "$place" --ignore-scripts --legacy-peer-deps --no-audit --no-fund --no-package-lock --loglevel=error "$@" >"$place/npm.log"; }

# from_pypi NAME==VERSION…: into `$place/python`, whose interpreter is `$place/python/bin/python`.
from_pypi() {
  python3 -m venv "$place/python"
  "$place/python/bin/pip" install --quiet --disable-pip-version-check "$@"
}

# nginx_serves TEXT: Debian's nginx with these lines in its http block, until the script ends. Servers listen on `unix:$place/NAME`.
nginx_serves() {
  {
    echo "daemon off; master_process off; pid $place/pid; error_log $place/error.log;"
    echo "events { worker_connections ${connections:-64}; } http { access_log off;"
    for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path $place/$kind;"; done
    echo "$1 }"
  } >"$place/nginx.conf"
  background "${debian[@]}" "$place/debian/usr/sbin/nginx" -p "$place" -c "$place/nginx.conf" -e "$place/error.log"
}

# status SOCKET PATH OPTION…: of curl's request to a server on `unix:$place/SOCKET`.
status() { curl -s -o "$place/body" -w '%{http_code}' --unix-socket "$place/$1" "${@:3}" "http://video.example$2"; }
