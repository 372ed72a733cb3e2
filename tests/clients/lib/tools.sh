# Installs the tools of the clients from the package registries into a cache
# keyed by version: `source` it. Whatever can't be installed ends the run.
# shellcheck shell=bash

CACHE=${V1SHIM_CLIENT_CACHE:-$HOME/.cache/v1shim/clients}

TELEGRAF_VERSION=v1.37.2
TELEGRAF_TAGS=custom,inputs.execd,inputs.file,outputs.influxdb,parsers.influx
# Used when Debian's Go is too old to fetch a newer one by itself.
GO_BOOTSTRAP=go1.25.5

die() {
  printf 'tests/clients: %s\n' "$*" >&2
  exit 1
}

note() {
  printf '   %s\n' "$*"
}

# apt_need COMMAND PACKAGE…: installs the packages when the command is missing
apt_need() {
  local command=$1
  shift
  command -v "$command" >/dev/null 2>&1 && return
  apt_install "$@"
  hash -r
  command -v "$command" >/dev/null 2>&1 || die "$command is missing after installing $*"
}

APT_FRESH=false
apt_install() {
  command -v apt-get >/dev/null 2>&1 || die "can't install $*: no apt-get here, install it by hand"
  note "installing $* with apt-get"
  if ! $APT_FRESH; then
    DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null >"$LOGS/apt" 2>&1 || die "apt-get update: $(tail -n 5 "$LOGS/apt")"
    APT_FRESH=true
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" </dev/null >"$LOGS/apt" 2>&1 ||
    die "can't install $*: $(tail -n 5 "$LOGS/apt")"
}

# key WORD-OR-FILE…: a short hash of words and of the contents of files
key() {
  local item
  for item in "$@"; do
    if [[ -f $item ]]; then sha256sum <"$item"; else printf '%s\n' "$item"; fi
  done | sha256sum | cut -c1-16
}

# cached NAME KEY COMMAND…: runs `COMMAND… DIR` to fill a new folder of the cache,
# once; leaves the folder in CACHED. A half-filled folder is never taken.
cached() {
  local name=$1 hash=$2 started=$SECONDS
  shift 2
  CACHED=$CACHE/$name-$hash
  if [[ -d $CACHED ]]; then
    return
  fi
  note "building $name"
  mkdir -p "$CACHE"
  local fresh
  fresh=$(mktemp -d "$CACHE/.$name.XXXXXX")
  if ! "$@" "$fresh" >"$LOGS/build-$name" 2>&1 </dev/null; then
    tail -n 30 "$LOGS/build-$name" >&2
    rm -rf "$fresh"
    die "can't build $name"
  fi
  # Somebody else may have been faster; one is as good as the other.
  mv -T "$fresh" "$CACHED" 2>/dev/null || rm -rf "$fresh"
  note "built $name in $((SECONDS - started)) s"
}

# === one function a tool; each leaves what the program needs in variables ===

need_base() {
  apt_need curl curl ca-certificates
  apt_need jq jq
  apt_need openssl openssl
}

need_python() {
  need_venv python
  PYTHON=$CACHED/venv/bin/python
}
need_influxdb3() {
  need_venv influxdb3
  INFLUXDB3_PYTHON=$CACHED/venv/bin/python
}
need_venv() { # FOLDER: what its requirements.txt says, left in CACHED
  apt_need python3 python3 python3-venv
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
  cached "$1" "$(key "$HERE/$1/requirements.txt" "$(python3 --version)" "$(command -v python3)")" build_venv "$1"
}
build_venv() {
  python3 -m venv "$2/venv" &&
    "$2/venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: -r "$HERE/$1/requirements.txt"
}

need_node() { # FOLDER: its packages, left in NODE_MODULES
  apt_need node nodejs
  apt_need npm npm
  cached "$1" "$(key "$HERE/$1/package-lock.json" "$(node --version)")" build_node "$1"
  NODE_MODULES=$CACHED/node_modules
}
build_node() {
  cp "$HERE/$1/package.json" "$HERE/$1/package-lock.json" "$2" &&
    (cd "$2" && npm ci --ignore-scripts --no-audit --no-fund)
}

need_cli() {
  apt_need influx influxdb-client
  apt_need script bsdutils
  local version
  version=$(influx -version 2>&1)
  [[ $version == *'shell version: '*1.[0-9]* ]] || die "influx is not the 1.x command line: $version"
}

need_go() {
  command -v go >/dev/null 2>&1 || apt_need go golang-go ca-certificates
  # From 1.21 on, Go fetches the toolchain that a module asks for.
  export GOTOOLCHAIN=auto GOFLAGS=-buildvcs=false
  if ! go version | grep -Eq 'go1\.(2[1-9]|[3-9][0-9])'; then
    cached "go-toolchain" "$(key "$GO_BOOTSTRAP")" build_go_toolchain
    export PATH=$CACHED/go/bin:$PATH
    hash -r
  fi
}
build_go_toolchain() {
  local arch module dir
  arch=$(go env GOARCH)
  module=golang.org/toolchain@v0.0.1-$GO_BOOTSTRAP.linux-$arch
  # An old Go knows toolchains only as modules, without their executable bits.
  dir=$(cd "$1" && GOFLAGS=-modcacherw go mod download -json "$module" | jq -r .Dir) || return 1
  [[ -d $dir ]] || return 1
  cp -r "$dir" "$1/go" && chmod -R u+w "$1/go" && chmod +x "$1"/go/bin/* "$1"/go/pkg/tool/*/*
}

need_go_client() {
  need_go
  cached go-client "$(key "$HERE"/go/go.mod "$HERE"/go/go.sum "$HERE"/go/main.go)" build_go_client
  GO_CLIENT=$CACHED/client
}
build_go_client() {
  (cd "$HERE/go" && go build -trimpath -mod=readonly -o "$1/client" .)
}

need_influxdb3go() {
  need_go
  cached influxdb3go "$(key "$HERE"/influxdb3go/go.mod "$HERE"/influxdb3go/go.sum "$HERE"/influxdb3go/main.go)" build_influxdb3go
  INFLUXDB3_GO=$CACHED/client
}
build_influxdb3go() {
  (cd "$HERE/influxdb3go" && nice -n 10 go build -trimpath -mod=readonly -o "$1/client" .)
}

need_telegraf() {
  need_telegraf_binary
  TELEGRAF=$CACHED/telegraf
  export TELEGRAF
}
need_telegraf_binary() {
  CACHED=$CACHE/telegraf-$(key "$TELEGRAF_VERSION" "$TELEGRAF_TAGS")
  [[ -x $CACHED/telegraf ]] && return
  need_go
  note "Telegraf $TELEGRAF_VERSION takes a minute or two, once"
  cached telegraf "$(key "$TELEGRAF_VERSION" "$TELEGRAF_TAGS")" build_telegraf
}
build_telegraf() {
  GOBIN=$1 nice -n 10 go install -trimpath -tags "$TELEGRAF_TAGS" -ldflags '-s -w' \
    "github.com/influxdata/telegraf/cmd/telegraf@$TELEGRAF_VERSION"
}

need_java() {
  # `java` alone may be there without its compiler.
  apt_need javac default-jdk-headless
  local sources=("$HERE"/java/pom.xml "$HERE"/java/src/main/java/v1clients/*.java)
  CACHED=$CACHE/java-$(key "${sources[@]}")
  if [[ ! -d $CACHED ]]; then
    apt_need mvn maven
    cached java "$(key "${sources[@]}")" build_java
  fi
  JAVA_CLASSPATH="$CACHED/clients.jar:$CACHED/lib/*"
}
build_java() {
  cp -r "$HERE/java" "$1/source" &&
    mvn -B -q -f "$1/source/pom.xml" -Dmaven.repo.local="$CACHE/maven" package &&
    mv "$1/source/target/clients.jar" "$1/source/target/lib" "$1" && rm -rf "$1/source"
}
