# Sourced by the other scripts: installs what they need from Debian packages, or says what to install.
# Nothing is installed without saying so first.

have_module() { # the first of these PKCS#11 modules that is there
    local name=$1 dir
    for dir in /usr/lib/softhsm /usr/lib/*-linux-gnu /usr/lib/*-linux-gnu/softhsm /usr/lib64 /usr/lib64/pkcs11 \
        /usr/local/lib /usr/local/lib/softhsm /opt/homebrew/lib /opt/homebrew/lib/softhsm; do
        [ -e "$dir/$name" ] && return 0
    done
    return 1
}

# The Debian packages that are missing for: softhsm, pkcs11-tests, python, build.
missing_packages() {
    local want
    for want in "$@"; do
        case $want in
        build) command -v cc >/dev/null || echo gcc libc6-dev ;;
        softhsm)
            [ -n "${P2PE_SOFTHSM_MODULE:-}" ] || have_module libsofthsm2.so || echo softhsm2
            command -v softhsm2-util >/dev/null || echo softhsm2
            ;;
        pkcs11-tests)
            have_module pkcs11-spy.so || echo opensc-pkcs11
            have_module libsoftokn3.so || echo libnss3
            command -v certutil >/dev/null || echo libnss3-tools
            ;;
        python)
            command -v python3 >/dev/null || echo python3
            python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
            ;;
        esac
    done | tr ' ' '\n' | sort -u | tr '\n' ' '
}

# set_up WHAT...: makes sure that Rust is there and installs the missing Debian packages.
set_up() {
    if ! command -v cargo >/dev/null; then
        echo "Rust is not installed: see https://rustup.rs (version 1.89 or newer)." >&2
        exit 1
    fi
    local packages sudo=
    packages=$(missing_packages "$@")
    [ -n "${packages// /}" ] || return 0
    if ! command -v apt-get >/dev/null; then
        echo "Please install what Debian calls: $packages" >&2
        exit 1
    fi
    [ "$(id -u)" = 0 ] || sudo=sudo
    echo "Installing Debian packages: $packages"
    # shellcheck disable=SC2086 # a list of package names
    $sudo apt-get update -qq && $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
}
