# Runs a server for a test, and outlives whoever asked for it just long enough to stop it.
#
#   sh guardian.sh FOLDER SIGNAL PROGRAM ARGUMENT…
#
# Lines on stdin: "start" starts the program again; "stop SIGNAL" ends it. Each is answered
# by a line on stdout: the process id, or "stopped". When stdin ends, for whatever reason,
# the program is ended by SIGNAL, and the folder is removed.
folder=$1 last_signal=$2
shift 2
pid=

start() {
  "$@" < /dev/null >> "$folder/log" 2>&1 3<&- &
  pid=$!
  echo "$pid"
}

stop() {
  if [ -n "$pid" ]; then
    kill -s "$1" "$pid" 2> /dev/null
    wait "$pid" 2> /dev/null
  fi
  pid=
}

trap '' HUP INT TERM PIPE
start "$@"
while read -r command signal; do
  case $command in
    start) start "$@" ;;
    stop)
      stop "$signal"
      echo stopped
      ;;
  esac
done
stop "$last_signal"
rm -rf "$folder"
