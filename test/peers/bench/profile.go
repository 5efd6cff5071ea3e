package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bulkhead/test/peers/internal/subject"
)

// profileRounds runs more rounds, which do not count, for as long as the profiler of our router records.
func (b *bench) profileRounds(ctx context.Context, name string, c *contestant) error {
	if b.profile == "" {
		return nil
	}
	const length = 3 * time.Second
	fetched := make(chan error, 1)
	go func() {
		fetched <- b.fetch(ctx, c.proc, fmt.Sprintf("profile?seconds=%d", length/time.Second), name+".cpu")
	}()
	for {
		if _, err := c.round(ctx, length); err != nil {
			return errors.Join(err, <-fetched)
		}
		select {
		case err := <-fetched:
			return errors.Join(err, b.fetch(ctx, c.proc, "allocs", name+".allocs"))
		default:
		}
	}
}

// profileHeap saves the heap of our router as it is.
func (b *bench) profileHeap(ctx context.Context, name string, k subject.Kind, p *subject.Process) error {
	if b.profile == "" || k != subject.Bulkhead {
		return nil
	}
	return errors.Join(b.fetch(ctx, p, "heap", name+".heap"), b.fetch(ctx, p, "heap?debug=1", name+".heaptext"), b.fetch(ctx, p, "goroutine", name+".goroutine"))
}

func (b *bench) fetch(ctx context.Context, p *subject.Process, what, name string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Profiler+"/debug/pprof/"+what, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("profile: %s", response.Status)
	}
	return b.saveProfile(name, response.Body)
}

func (b *bench) saveProfile(name string, body io.Reader) error {
	if err := os.MkdirAll(b.profile, 0o755); err != nil { //nolint:gosec // nothing in it is secret
		return err
	}
	f, err := os.Create(filepath.Join(b.profile, strings.ReplaceAll(name, "/", "-")+".pprof"))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body)
	return errors.Join(err, f.Close())
}
