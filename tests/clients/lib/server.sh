# Starts and stops the server under test: `source` it.
# shellcheck shell=bash
#
# A server lives in a folder of its own, which holds its configuration, its log
# and its data. Profiles `serverless` and `v1` start v1shim ($V1SHIM_BIN);
# `influxd` starts an InfluxDB 1.x, to hold the clients themselves against the
# original. With V1_BEHIND=embedded, v1shim stands before an upstream that speaks
# v3: a second one with its embedded store, which takes $V1_BACKEND_TOKEN only.
# With V1_BEHIND=influxdb2 that is an InfluxDB 2.x, the program $V1SHIM_INFLUXD2.

# Process ids of the upstreams that were started.
UPSTREAM_PIDS=()

# The databases and retention policies that an InfluxDB 1.x has to have before
# the clients come. v1shim makes them on the first write.
ORACLE_SUFFIXES=("" _basic _query _token _gzip _identity _created _uint _kill)

# free_port: a port on which nobody listens, outside the range of outgoing connections
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      printf '%s\n' "$port"
      return
    fi
  done
}

# server_configure DIR PROFILE PORT CREATE-POLICY [CERT KEY]
server_configure() {
  local dir=$1 profile=$2 port=$3 create=$4 cert=${5:-} key=${6:-} readable=curl_basic/autogen
  # On a v3 server, the bucket of a database's default policy has the name of the database.
  [[ -n ${UPSTREAM_URL:-} && ${V1_BEHIND:-} != influxdb2 ]] && readable=curl_basic
  mkdir -p "$dir/data"
  if [[ $profile == influxd ]]; then
    cat >"$dir/server.toml" <<TOML
reporting-disabled = true
bind-address = "127.0.0.1:$(free_port)"
[meta]
dir = "$dir/data/meta"
[data]
dir = "$dir/data/data"
wal-dir = "$dir/data/wal"
query-log-enabled = false
[monitor]
store-enabled = false
[http]
bind-address = "127.0.0.1:$port"
auth-enabled = true
log-enabled = false
TOML
    return
  fi
  {
    cat <<TOML
[server]
listen = "127.0.0.1:$port"

[compat]
profile = "$profile"

[auth]
mode = "local"

[[auth.token]]
name = "clients"
token = "$V1_TOKEN"
access = "all"

[[auth.token]]
name = "reader"
token = "$V1_READER_TOKEN"
access = [{ bucket = "$readable", read = true, write = false }]

[guard]
create = "$create"
TOML
    if [[ ${V1_BEHIND:-} == influxdb2 ]]; then
      printf '\n[backend]\nkind = "upstream"\n'
      printf '\n[upstream]\napi = "v2"\nurl = "%s"\norg = "clients"\ntoken = "%s"\n' "$UPSTREAM_URL" "$V1_BACKEND_TOKEN"
    elif [[ -n ${UPSTREAM_URL:-} ]]; then
      printf '\n[backend]\nkind = "upstream"\n'
      printf '\n[upstream]\napi = "v3"\nurl = "%s"\ntoken = "%s"\n' "$UPSTREAM_URL" "$V1_BACKEND_TOKEN"
      # Queries go over Flight where there is one, under one of the profiles over HTTP.
      [[ $profile == serverless ]] && printf 'query = "http"\n'
    else
      printf '\n[backend]\nkind = "embedded"\n\n[embedded]\ndata_dir = "%s"\n' "$dir/data"
    fi
    if [[ -n $cert ]]; then
      printf '\n[server.tls]\ncert = "%s"\nkey = "%s"\n' "$cert" "$key"
    fi
    if [[ -n ${SPOOL_DIR:-} ]]; then
      printf '\n[spool]\ndir = "%s"\n' "$SPOOL_DIR"
    fi
  } >"$dir/server.toml"
}

# upstream_start DIR PROFILE: a v3 server on a free port, left in UPSTREAM_PORT;
# sets UPSTREAM_PID
upstream_start() {
  local V1_BEHIND='' V1_TOKEN=$V1_BACKEND_TOKEN UPSTREAM_URL='' SPOOL_DIR=''
  server_start "$1" "$2" reject || return
  UPSTREAM_PORT=$SERVER_PORT UPSTREAM_PID=$SERVER_PID
  UPSTREAM_PIDS+=("$UPSTREAM_PID")
}

# influxdb2_start DIR: an InfluxDB 2.x on a free port, left in UPSTREAM_PORT; sets UPSTREAM_PID
influxdb2_start() {
  local dir=$1 tries
  mkdir -p "$dir"
  UPSTREAM_PORT=$(free_port)
  "$V1SHIM_INFLUXD2" --http-bind-address "127.0.0.1:$UPSTREAM_PORT" --bolt-path "$dir/bolt" --engine-path "$dir/engine" \
    --sqlite-path "$dir/sqlite" --reporting-disabled --log-level error >>"$dir/log" 2>&1 </dev/null &
  UPSTREAM_PID=$!
  UPSTREAM_PIDS+=("$UPSTREAM_PID")
  for ((tries = 0; tries < 300; tries++)); do
    curl -s --max-time 2 -o /dev/null "http://127.0.0.1:$UPSTREAM_PORT/health" && break
    kill -0 "$UPSTREAM_PID" 2>/dev/null || return 1
    sleep 0.1
  done
  curl -sf -o /dev/null "http://127.0.0.1:$UPSTREAM_PORT/api/v2/setup" \
    -d "{\"username\":\"admin\",\"password\":\"$V1_BACKEND_TOKEN\",\"org\":\"clients\",\"bucket\":\"first\",\"token\":\"$V1_BACKEND_TOKEN\"}"
}

# server_launch DIR PROFILE PORT SCHEME: starts what is configured, waits until
# it answers, leaves its process id in SERVER_PID
server_launch() {
  local dir=$1 profile=$2 port=$3 scheme=$4 tries
  local command=("$V1SHIM_BIN" --config "$dir/server.toml")
  [[ $profile == influxd ]] && command=(influxd -config "$dir/server.toml")
  "${command[@]}" >>"$dir/log" 2>&1 </dev/null &
  SERVER_PID=$!
  for ((tries = 0; tries < 300; tries++)); do
    if curl -sk --max-time 2 -o "$dir/ping" "$scheme://127.0.0.1:$port/ping"; then
      return 0
    fi
    kill -0 "$SERVER_PID" 2>/dev/null || return 1
    sleep 0.1
  done
  return 1
}

# server_start DIR PROFILE CREATE-POLICY [CERT KEY]: on a free port, left in
# SERVER_PORT; sets SERVER_PID
server_start() {
  local dir=$1 profile=$2 create=$3 cert=${4:-} key=${5:-} scheme=http attempt
  [[ -n $cert ]] && scheme=https
  local UPSTREAM_URL=${UPSTREAM_URL:-}
  if [[ ${V1_BEHIND:-} == embedded && -z $UPSTREAM_URL ]]; then
    upstream_start "$dir/upstream" "$profile" || {
      cat "$dir/upstream/log" >>"$dir/log"
      return 1
    }
    UPSTREAM_URL=http://127.0.0.1:$UPSTREAM_PORT
  elif [[ ${V1_BEHIND:-} == influxdb2 && -z $UPSTREAM_URL ]]; then
    influxdb2_start "$dir/upstream" || {
      cat "$dir/upstream/log" >>"$dir/log"
      return 1
    }
    UPSTREAM_URL=http://127.0.0.1:$UPSTREAM_PORT
  fi
  for ((attempt = 0; attempt < 3; attempt++)); do
    SERVER_PORT=$(free_port)
    server_configure "$dir" "$profile" "$SERVER_PORT" "$create" "$cert" "$key"
    if server_launch "$dir" "$profile" "$SERVER_PORT" "$scheme"; then
      [[ $profile == influxd ]] && oracle_prepare "$SERVER_PORT"
      return 0
    fi
    # Somebody else may have taken the port in between; anything else is final.
    kill -9 "$SERVER_PID" 2>/dev/null
    wait "$SERVER_PID" 2>/dev/null
    grep -qi 'in use' "$dir/log" || return 1
  done
  return 1
}

# server_stop PID: asks it to end, waits, and returns its exit status (137 if it
# had to be killed)
server_stop() {
  local pid=$1 tries
  kill -TERM "$pid" 2>/dev/null
  for ((tries = 0; tries < 200; tries++)); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -9 "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null
}

# oracle_prepare PORT: what v1shim's configuration says and its first writes make
oracle_prepare() {
  local port=$1 client suffix statement=''
  curl -s -o /dev/null "http://127.0.0.1:$port/query" \
    --data-urlencode "q=CREATE USER \"$V1_USER\" WITH PASSWORD '$V1_TOKEN' WITH ALL PRIVILEGES"
  for client in curl postman python node cli telegraf go java; do
    for suffix in "${ORACLE_SUFFIXES[@]}"; do
      statement+="CREATE DATABASE \"$client$suffix\";"
      statement+="CREATE RETENTION POLICY weekly ON \"$client$suffix\" DURATION INF REPLICATION 1;"
    done
  done
  curl -s -o /dev/null -u "$V1_USER:$V1_TOKEN" "http://127.0.0.1:$port/query" --data-urlencode "q=$statement"
}
