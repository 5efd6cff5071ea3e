# Each recipe is one line of shell, so that ./justw can run it where just is not installed.
set positional-arguments

# start the server, a database and two agents on this machine
dev *ARGS:
    go run ./cmd/bulkhead dev "$@"

# run every test
test *ARGS:
    go vet ./... && go test "$@" ./...

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

# measure ingest against a bare COPY and a transaction per row
bench-ingest *ARGS:
    go test ./backend/databackend -run '^$' -bench '^BenchmarkIngest$' -benchtime 2x "$@"

# run honest clients beside misbehaving ones: just soak -for 10m
soak *ARGS:
    go run ./test/soak "$@"

# write the generated parts of docs/ again
generate:
    go generate ./...
