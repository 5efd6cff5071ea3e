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
    gofmt -l $(git ls-files '*.go') | sed 's/^/gofmt would change /' | tee /dev/stderr | { ! grep -q .; } && go mod tidy -diff && go vet ./... && go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

# build both programs into bin/, the agent for every device we ship to
build:
    ./test/build.sh

# measure against bare methods and peers in the same run
bench *ARGS:
    ./test/bench.sh "$@"

# write the generated parts of docs/ again
generate:
    go generate ./...
