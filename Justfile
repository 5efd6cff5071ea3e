# Each recipe is one line of shell, so that ./justw can run it where just is not installed.
set positional-arguments

# start the server, a database and two agents on this machine
dev *ARGS:
    go run ./cmd/bulkhead dev "$@"

# run every test
test *ARGS:
    go vet ./... && go test "$@" ./... && go -C test/peers test "$@" ./oracle

# run every test with the race detector
test-race *ARGS:
    go test -race "$@" ./...

# run each fuzz target for a while: just fuzz 30s
fuzz *ARGS:
    ./test/fuzz.sh "$@"

# check style and known faults of the code
lint:
    gofmt -l $(git ls-files '*.go') | sed 's/^/gofmt would change /' | tee /dev/stderr | { ! grep -q .; } && go mod tidy -diff && go vet ./... && go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./... && go -C test/peers vet ./...

# build both programs into bin/, the agent for every device we ship to
build:
    ./test/build.sh

# measure the router against nexusd and a bare floor in the same run, with ratios: just bench [-quick] [-run PATTERN]
bench *ARGS:
    go -C test/peers run ./bench "$@"

# measure tunnels against ssh -R, and against frp and chisel where FRPC_BIN, FRPS_BIN and CHISEL_BIN name them: just bench-tunnel [-quick] [-run PATTERN]
bench-tunnel *ARGS:
    go -C test/peers run ./tunnelbench -C "$PWD" "$@"

# measure ingest against a bare COPY and a transaction per row
bench-ingest *ARGS:
    go test ./backend/databackend -run '^$' -bench '^BenchmarkIngest$' -benchtime 2x "$@"

# measure logins: a flood of wrong passwords beside the router and honest people, API keys, hashes
bench-login *ARGS:
    go run ./test/logins "$@" && go test ./backend/account ./backend/account/password -run '^$' -bench 'Authenticate|Verify'

# measure one decision about a privilege, how a snapshot is made and changed, how soon a revoke ends what is open, and OPA on the same graph
bench-privilege *ARGS:
    go test ./backend/privilege -run '^$' -bench . "$@" && go test ./test/isolation -run '^$' -bench Revoke -benchtime 1x && go test ./backend/httpapi -run '^$' -bench Foreign -benchtime 1x && go -C test/peers/opa test -run '^$' -bench . "$@"

# measure the audit log: entries against plain inserts, proofs, a whole verification
bench-audit *ARGS:
    go test ./db ./backend/audit/ledger -run '^$' -bench 'Entries|Prove|Verify' -benchtime 3x "$@"

# run honest clients beside misbehaving ones: just soak -for 10m
soak *ARGS:
    go run ./test/soak "$@"

# fetch the terminal of the browser again, as its authors publish it
vendor-xterm:
    d=$(mktemp -d) && (cd "$d" && npm pack --silent @xterm/xterm@6.0.0 @xterm/addon-fit@0.11.0 >/dev/null && mkdir x f && tar xzf xterm-xterm-*.tgz -C x && tar xzf xterm-addon-fit-*.tgz -C f) && cp "$d"/x/package/lib/xterm.js "$d"/x/package/css/xterm.css "$d"/x/package/LICENSE web/xterm/ && cp "$d"/f/package/lib/addon-fit.js web/xterm/fit.js && cp "$d"/f/package/LICENSE web/xterm/LICENSE.fit && rm -r "$d" && go test ./web

# end 10,000 tunnels abruptly and count what is left; cut the network of a device for five minutes
soak-tunnel *ARGS:
    go test ./agent/tunnel -count=1 -v -timeout 30m -run AbruptEnds -ends 10000 "$@" && go test ./test/tunnel -count=1 -v -timeout 30m -run ThreeHosts -cut 5m

# write the generated parts of docs/ again
generate:
    go generate ./...
