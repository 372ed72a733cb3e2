# Checks for the clients written in shell: `source` it, call the expectations,
# end with `finish`. One `ok`/`FAIL` line each, as every client prints them.
# shellcheck shell=bash

FAILURES=0

pass() {
  printf 'ok %s\n' "$1"
}

# fail NAME DETAIL…: the detail is kept on one line, and short.
fail() {
  local name=$1
  shift
  printf 'FAIL %s: %s\n' "$name" "$(tr '\n\r' '  ' <<<"$*" | cut -c1-1500)"
  FAILURES=$((FAILURES + 1))
}

# equal NAME GOT WANT
equal() {
  if [[ $2 == "$3" ]]; then
    pass "$1"
  else
    fail "$1" "got $2, want $3"
  fi
}

# matches NAME GOT REGEX (POSIX extended)
matches() {
  if [[ $2 =~ $3 ]]; then
    pass "$1"
  else
    fail "$1" "got $2, want something like $3"
  fi
}

# finish: the exit status of the program
finish() {
  [[ $FAILURES -eq 0 ]]
}
