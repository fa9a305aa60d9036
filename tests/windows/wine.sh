#!/usr/bin/env bash
# Run a program for Windows under Wine, at most SECONDS_ALLOWED seconds, and end all that it left running.
#
#   tests/windows/wine.sh .venv-windows/python/python.exe -m pytest tests/unit
#
# The system is Russian: console, files and pipes use cp1251 unless a program names an encoding.
set -euo pipefail
windows=$(realpath "$(dirname "$0")/../../.venv-windows")

export WINEPREFIX="$windows/wine"
export WINEDEBUG=-all
export WINEDLLOVERRIDES="mscoree,mshtml,winemenubuilder.exe="  # no offer to install .NET and a browser, no menus
unset DISPLAY PYTHONDONTWRITEBYTECODE

PATH="/usr/lib/wine:$PATH"
# Wine takes the code page of Windows from the name of the locale, and the encoding of file names from its definition.
russian=(LOCPATH="$windows/locale" LC_ALL=ru_RU.UTF-8)
run() {
    trap 'wineserver -k || true' EXIT  # what is left running keeps the pipe open
    timeout --foreground --kill-after 10 "${SECONDS_ALLOWED:-900}" env "${russian[@]}" wine64 "$@"
}

readable='import sys; [print(line.decode("cp1251", "replace").rstrip(), flush=True) for line in sys.stdin.buffer]'
# CPython can't use the standard streams that Wine makes of a terminal: they are a file and a pipe.
run "$@" </dev/null 2>&1 | python3 -c "$readable"
