# Sourced by the other scripts: installs what they need from Debian packages, or says what to install.
# Nothing is installed without saying so first.

stop() { echo "$*" >&2; exit 1; }

find_module() { # prints the first of these PKCS#11 modules that is there
    local name=$1 dir
    for dir in /usr/lib/softhsm /usr/lib64/pkcs11 /usr/lib64/softhsm /usr/lib /usr/lib64 /usr/lib/*-linux-gnu \
        /usr/lib/*-linux-gnu/softhsm /usr/lib/*-linux-gnu/pkcs11 /usr/local/lib /usr/local/lib/softhsm /opt/homebrew/lib /opt/homebrew/lib/softhsm; do
        [ -f "$dir/$name" ] && echo "$dir/$name" && return 0
    done
    return 1
}

# The Debian packages that are missing for: build, fuzz, git, java, mariadb, openssl, postgresql, softhsm, pkcs11-tests, python, valgrind, venv.
missing_packages() {
    local want
    for want in "$@"; do
        case $want in
        build) command -v cc >/dev/null || echo gcc libc6-dev ;;
        fuzz) command -v c++ >/dev/null || echo g++ ;;
        git) command -v git >/dev/null || echo git ;;
        java) command -v java >/dev/null || echo openjdk-17-jre-headless ;;
        openssl)
            command -v pkg-config >/dev/null || echo pkg-config
            pkg-config --exists openssl 2>/dev/null || echo libssl-dev
            ;;
        postgresql)
            [ -n "${P2PE_POSTGRESQL_BIN:-}" ] || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 ||
                command -v initdb >/dev/null || echo postgresql
            ;;
        softhsm)
            [ -n "${P2PE_SOFTHSM_MODULE:-}" ] || find_module libsofthsm2.so >/dev/null || echo softhsm2
            command -v softhsm2-util >/dev/null || echo softhsm2
            ;;
        pkcs11-tests)
            find_module pkcs11-spy.so >/dev/null || echo opensc-pkcs11
            find_module p11-kit-client.so >/dev/null || echo p11-kit-modules
            command -v p11-kit >/dev/null || echo p11-kit
            find_module libsoftokn3.so >/dev/null || echo libnss3
            command -v certutil >/dev/null || echo libnss3-tools
            ;;
        mariadb)
            command -v mariadbd >/dev/null || [ -x /usr/sbin/mariadbd ] || echo mariadb-server-core
            command -v my_print_defaults >/dev/null || echo mariadb-client-core
            ;;
        python) command -v python3 >/dev/null || echo python3 ;;
        valgrind) command -v valgrind >/dev/null || echo valgrind ;;
        venv) python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3 python3-venv ;;
        esac
    done | tr ' ' '\n' | sort -u | tr '\n' ' '
}

check_rust() { # set_up's arguments
    local least version
    least=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    command -v cargo >/dev/null || stop "Rust is not installed: see https://rustup.rs (version $least or newer)."
    version=$(cargo --version | cut -d ' ' -f 2)
    [ "$(printf '%s\n' "$least" "$version" | sort -V | head -n 1)" = "$least" ] ||
        stop "Rust $version is too old: version $least or newer is needed (rustup update, or see https://rustup.rs)."
    case " $* " in *" lints "*)
        cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 ||
            stop "rustfmt or clippy is not installed: rustup component add rustfmt clippy"
        ;;
    esac
}

install() { # packages
    local as_root=
    command -v apt-get >/dev/null || stop "Please install what Debian calls: $*${set_up_hint:-}"
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || stop "Some packages are missing. Run as root: apt-get install $*${set_up_hint:-}"
        as_root=sudo
    fi
    echo "Installing Debian packages: $*"
    $as_root apt-get update -qq || echo "apt-get update failed; going on with the lists that are there" >&2
    # An earlier installation may have been cut off, which apt-get refuses to go on from, or another one may be running.
    $as_root env DEBIAN_FRONTEND=noninteractive dpkg --force-confdef --force-confold --configure -a >/dev/null </dev/null || true
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "$@" >/dev/null </dev/null ||
        stop "These packages could not be installed: $*${set_up_hint:-}"
}

# set_up WHAT...: makes sure that Rust is there (with lints: rustfmt and clippy too) and installs the missing Debian
# packages. With softhsm, P2PE_SOFTHSM_MODULE names the module afterwards. Call it in the root of the repository.
# $set_up_hint: what else a user could do who cannot install.
set_up() {
    local packages
    check_rust "$@"
    case " $* " in *" softhsm "*)
        [ -z "${P2PE_SOFTHSM_MODULE:-}" ] || [ -f "$P2PE_SOFTHSM_MODULE" ] ||
            stop "P2PE_SOFTHSM_MODULE is $P2PE_SOFTHSM_MODULE, and there is no such file"
        ;;
    esac
    packages=$(missing_packages "$@")
    # shellcheck disable=SC2086 # a list of package names
    [ -z "${packages// /}" ] || install $packages
    case " $* " in *" softhsm "*)
        P2PE_SOFTHSM_MODULE=${P2PE_SOFTHSM_MODULE:-$(find_module libsofthsm2.so)} ||
            stop "libsofthsm2.so is in none of the usual places: name it in P2PE_SOFTHSM_MODULE"
        export P2PE_SOFTHSM_MODULE
        ;;
    esac
}
