package subject

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"bulkhead/internal/localca"
	"bulkhead/test/peers/internal/scene"
)

// Kind is one of the servers.
type Kind string

// The servers that are measured.
const (
	Bulkhead Kind = "bulkhead"  // our router
	Nexusd   Kind = "nexusd"    // the peer, as its authors ship it
	NexusCRA Kind = "nexus-cra" // the peer's router with WAMP-CRA, which nexusd cannot be configured to have
	Floor    Kind = "floor"     // copies one encoded frame to all and does nothing else
)

var packages = map[Kind]string{
	Bulkhead: "bulkhead/test/peers/benchserver",
	Nexusd:   "github.com/gammazero/nexus/v3/nexusd",
	NexusCRA: "bulkhead/test/peers/nexuscra",
	Floor:    "bulkhead/test/peers/floor",
}

var programs = map[Kind]string{Bulkhead: "benchserver", Nexusd: "nexusd", NexusCRA: "nexuscra", Floor: "floor"}

// Yard is a folder with the servers' programs, a certificate for them and their logs.
type Yard struct {
	dir   string
	files localca.Files
	count int
}

// Build compiles the servers into dir and makes a certificate.
func Build(ctx context.Context, dir string, kinds ...Kind) (*Yard, error) {
	args := []string{"build", "-o", dir + string(filepath.Separator)}
	for _, k := range kinds {
		args = append(args, packages[k])
	}
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // packages named above
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the servers: %w\n%s", err, out)
	}
	files, err := localca.Ensure(dir, []string{"127.0.0.1"}, time.Now())
	if err != nil {
		return nil, err
	}
	return &Yard{dir: dir, files: files}, nil
}

// CA is the file with the certificate authority that the servers' certificate is signed by.
func (y *Yard) CA() string { return y.files.CA }

// Start runs a server, with TLS or without, ours with a profiler or without, and waits until it listens. It must be called
// on the main thread: the kernel ends the child when the thread that started it ends.
func (y *Yard) Start(ctx context.Context, k Kind, tls, profiler bool) (*Process, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	y.count++
	base := filepath.Join(y.dir, fmt.Sprintf("%03d-%s", y.count, k))
	var args []string
	if k == Nexusd {
		args, err = y.nexusdArgs(base+".json", addr, tls)
	} else {
		args = y.ownArgs(addr, tls)
	}
	if err != nil {
		return nil, err
	}
	p := &Process{Name: string(k), Addr: addr, logFile: base + ".log"}
	if profiler && k == Bulkhead {
		if p.Profiler, err = freeAddress(); err != nil {
			return nil, err
		}
		args = append(args, "-pprof", p.Profiler)
	}
	return p, p.start(ctx, filepath.Join(y.dir, programs[k]), args...)
}

func (y *Yard) ownArgs(addr string, tls bool) []string {
	args := []string{"-listen", addr}
	if tls {
		args = append(args, "-cert", y.files.Cert, "-key", y.files.Key)
	}
	return args
}

// nexusdArgs writes the configuration: nexusd's defaults and the open realms.
func (y *Yard) nexusdArgs(file, addr string, tls bool) ([]string, error) {
	var realms []map[string]any
	for _, name := range scene.OpenRealms() {
		realms = append(realms, map[string]any{"uri": name, "anonymous_auth": true})
	}
	socket := map[string]any{"address": addr}
	if tls {
		socket["cert_file"], socket["key_file"] = y.files.Cert, y.files.Key
	}
	b, err := json.MarshalIndent(map[string]any{"websocket": socket, "router": map[string]any{"realms": realms}}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("configuration of nexusd: %w", err)
	}
	return []string{"-c", file}, os.WriteFile(file, b, 0o600)
}

// freeAddress finds a port that is free now. Another process could take it before the server does, which then fails to
// start: nexusd has no way to say which port it got.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
