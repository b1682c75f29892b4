#!/bin/sh
# Sets up .venv with goldseam, its extras and the tools; needs only Python >= 3.11 (make setup).
set -eu
cd "$(dirname "$0")/.."
python=${1:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "setup: goldseam needs Python 3.11 or newer, and '$python' is" \
        "$("$python" --version 2>&1 || echo missing); name another: make setup PYTHON=python3.12" >&2
    exit 1
fi

make_venv() {
    rm -rf .venv
    "$python" -m venv .venv >/dev/null 2>&1
}

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    if ! make_venv; then
        # Debian and Ubuntu keep venv in a package of its own.
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
            apt-get -q update >&2
            DEBIAN_FRONTEND=noninteractive apt-get -q install --yes --no-install-recommends \
                "python$version-venv" >&2
            make_venv
        else
            echo "setup: '$python -m venv' does not work here;" \
                "install it (Debian: apt-get install python3-venv) and run this again" >&2
            exit 1
        fi
    fi
fi

if command -v uv >/dev/null; then
    uv pip install --quiet --python .venv/bin/python --editable '.[all,dev]'
else
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[all,dev]'
fi
touch .venv/ready
