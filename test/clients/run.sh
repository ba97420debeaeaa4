#!/bin/sh
# Runs the real clients against $KINTO_BIN: they work, the server is killed with SIGKILL and started
# again on the same data, and they look whether everything is there. And users log in to it at a provider.
#   run.sh            KINTO_BIN: the binary; KINTO_CLIENTS_DIR: keeps the installed clients
# With TEST_SERVER=http://host:port that server is used, and nothing is killed.
# Ends with "N passed, N failed".
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) || exit 1
clients=${KINTO_CLIENTS_DIR:-$work/clients}
server_pid=
passed=0 failed=0

clean_up() {
    [ -n "$server_pid" ] && kill -9 "$server_pid" 2>/dev/null
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# The interpreters, where they are missing (Debian).
install_interpreters() {
    missing=
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing="python3 python3-venv"
    node --version >/dev/null 2>&1 || missing="$missing nodejs"
    npm --version >/dev/null 2>&1 || missing="$missing npm"
    curl --version >/dev/null 2>&1 || missing="$missing curl"
    [ -z "$missing" ] || "$here/../support/deps.sh" $missing
}

# Installs what requirements.txt and package.json name, unless it is there already.
install_clients() {
    mkdir -p "$clients" || return 1
    if ! cmp -s "$here/requirements.txt" "$clients/requirements.txt"; then
        rm -rf "$clients/venv"
        python3 -m venv "$clients/venv" &&
            "$clients/venv/bin/pip" install -q --disable-pip-version-check \
                -r "$here/requirements.txt" &&
            cp "$here/requirements.txt" "$clients/" || return 1
    fi
    if ! cmp -s "$here/package.json" "$clients/package.json.done"; then
        cp "$here/package.json" "$clients/" &&
            (cd "$clients" && npm install --silent --ignore-scripts --no-audit --no-fund \
                --no-package-lock) &&
            cp "$here/package.json" "$clients/package.json.done" || return 1
    fi
}

# Starts the server on $work/data at the given port; sets $url and $server_pid.
start_server() {
    : >"$work/out"
    "$KINTO_BIN" start --ini "$work/kinto.ini" --data "$work/data" --port "$1" \
        >"$work/out" 2>>"$work/err" &
    server_pid=$!
    tries=0
    until url=$(sed -n 's/.*\(http:\/\/[^/ ]*\).*/\1/p' "$work/out" | head -n 1) && [ -n "$url" ]; do
        tries=$((tries + 1))
        if [ $tries -gt 200 ] || ! kill -0 "$server_pid" 2>/dev/null; then
            echo "the server did not start:"
            cat "$work/out" "$work/err"
            return 1
        fi
        sleep 0.05
    done
}

# Runs one client and adds up its last line; anything else than a total counts as a failure.
run_client() {
    name=$1
    shift
    "$@" >"$work/log" 2>&1
    status=$?
    total=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$work/log" | tail -n 1)
    [ -n "$total" ] || total='0 passed, 1 failed'
    set -- $(echo "$total" | tr -c '0-9\n' ' ')
    passed=$((passed + $1))
    failed=$((failed + $2))
    if [ "$status" -ne 0 ] || [ "$2" -ne 0 ]; then
        [ "$2" -eq 0 ] && failed=$((failed + 1))
        echo "FAIL $name (status $status)"
        cat "$work/log"
    else
        echo "  ok  $name: $1"
    fi
}

run_clients() {
    run_client "kinto-http (Python), $1" "$clients/venv/bin/python" \
        "$here/kinto_http_client.py" "$url" "$work/python.json" "$1"
    run_client "kinto.js (node), $1" env NODE_PATH_DIR="$clients" \
        node "$here/kinto_js_client.mjs" "$url" "$work/js.json" "$1"
}

run_scraper() {
    run_client "prometheus_client, $1" "$clients/venv/bin/python" "$here/prometheus_scraper.py" "$url"
}

cat >"$work/kinto.ini" <<INI
[app:main]
kinto.includes = kinto.plugins.default_bucket kinto.plugins.flush kinto.plugins.prometheus
kinto.userid_hmac_secret = a secret of the test
kinto.bucket_create_principals = system.Authenticated
multiauth.policies = basicauth
multiauth.policy.basicauth.use = kinto.core.authentication.BasicAuthAuthenticationPolicy
INI

if ! install_interpreters || ! install_clients; then
    echo "the clients could not be installed"
    echo "0 passed, 1 failed"
    exit 1
fi
if [ -n "${TEST_SERVER:-}" ]; then
    url=$TEST_SERVER
    run_clients work
    run_clients verify
elif run_client "OpenID Connect (oidc-provider)" python3 "$here/openid_client.py" "$clients" &&
    run_client "accounts by mail (aiosmtpd)" "$clients/venv/bin/python" "$here/mail_client.py" &&
    run_client "https (Python, curl, node, kinto-http)" "$clients/venv/bin/python" "$here/tls_client.py" "$clients" &&
    start_server 0; then
    run_clients work
    run_scraper work
    kill -9 "$server_pid"
    wait "$server_pid" 2>/dev/null
    if start_server "${url##*:}"; then
        run_clients verify
        run_scraper verify
        kill -TERM "$server_pid"
        wait "$server_pid" || {
            echo "FAIL the server ended with status $?"
            failed=$((failed + 1))
        }
        server_pid=
        if grep -E 'ERROR|Sanitizer|runtime error' "$work/err"; then
            echo "FAIL the server's log holds errors"
            failed=$((failed + 1))
        fi
    else
        failed=$((failed + 1))
    fi
else
    failed=$((failed + 1))
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
