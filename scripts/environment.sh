# The virtual environments of scripts/demo, scripts/test and scripts/check, which source this file (POSIX sh).
#
# What is installed is pinned with hashes; where it comes from is pip's own configuration. A stamp in each environment
# holds what was installed, so that a second run costs nothing and a changed pin is noticed. PYTHON names another
# interpreter than the newest one found. Everything said goes to stderr: stdout belongs to what runs.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
venv=$root/.venv

say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# Print an interpreter that is new enough and can make environments.
find_python() {
    for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3 python}; do
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$candidate"
            return 0
        fi
        say "$candidate cannot make virtual environments; on Debian and Ubuntu install its package python3-venv"
    done
    say "no Python 3.11 or newer found among: ${PYTHON:-python3.13 python3.12 python3.11 python3 python}"
    say "install Python 3.11, 3.12 or 3.13, or name one: PYTHON=/path/to/python3 $0"
    return 1
}

# What a stamp holds: the place (an environment cannot be moved), the chosen interpreter, the files.
stamp_of() {
    printf '%s %s\n' "$root" "${PYTHON:-}"
    cat -- "$@"
}

is_stamped() { # STAMP FILE
    stamp_of "$2" | cmp -s - "$1"
}

# An environment at DIRECTORY with an interpreter that runs; an outdated one is made anew.
make_venv() { # DIRECTORY STAMP
    if [ ! -e "$2" ] && "$1/bin/python" -m pip --version >/dev/null 2>&1; then
        return 0
    fi
    python=$(find_python) || return 1
    say "making ${1#"$root"/} with $("$python" --version)"
    "$python" -m venv --clear "$1" >&2
}

install_pinned() { # DIRECTORY FILE
    say "installing what ${2#"$root"/} pins (once)"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r "$2" >&2
}

# The project in its environment, with the set that constraints.txt or constraints-test.txt pins. The second holds all
# of the first at the same versions, so both sets share one environment.
project_environment() { # NAME of the constraints file
    runtime=$venv/installed-constraints.txt
    if ! is_stamped "$venv/installed-$1" "$root/$1"; then
        is_stamped "$runtime" "$root/constraints.txt" || make_venv "$venv" "$runtime" || return 1
        install_pinned "$venv" "$root/$1" || return 1
        stamp_of "$root/constraints.txt" >"$runtime" || return 1
        stamp_of "$root/$1" >"$venv/installed-$1" || return 1
    fi
    if ! is_stamped "$venv/installed-project" "$root/pyproject.toml"; then
        say "installing mcptrio itself, editable"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
            --no-deps --no-build-isolation --editable "$root" >&2 || return 1
        stamp_of "$root/pyproject.toml" >"$venv/installed-project" || return 1
    fi
}

# Other software that judges ours, in an environment of its own. Without it the tests that need it are skipped with a
# reason, and with CI=true they fail; so this itself never fails.
judge_environment() { # NAME
    judge=$root/.cache/judges/$1
    pins=$root/tests/interop/constraints-$1.txt
    is_stamped "$judge/installed" "$pins" && return 0
    if make_venv "$judge" "$judge/installed" && install_pinned "$judge" "$pins"; then
        stamp_of "$pins" >"$judge/installed"
    else
        say "the judge $1 could not be installed: its tests will be skipped"
    fi
}

# The official conformance suite: Node from a wheel, and of npm's what package-lock.json pins with hashes.
conformance_environment() {
    judge=$root/.cache/judges/conformance
    pins=$root/tests/conformance/constraints-node.txt
    lock=$root/tests/conformance/package-lock.json
    stamp_of "$pins" "$lock" | cmp -s - "$judge/installed" && return 0
    rm -f "$judge/installed"
    if make_venv "$judge" "$judge/installed" && install_pinned "$judge" "$pins" &&
        mkdir -p "$judge/suite" && cp "$root/tests/conformance/package.json" "$lock" "$judge/suite" &&
        say "installing the official conformance suite (once)" &&
        (cd "$judge/suite" && PATH=$judge/bin:$PATH npm ci --ignore-scripts --no-audit --no-fund --silent >&2); then
        stamp_of "$pins" "$lock" >"$judge/installed"
    else
        say "the official conformance suite could not be installed: its tests will be skipped"
    fi
}
