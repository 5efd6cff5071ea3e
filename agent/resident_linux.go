package agent

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

const (
	// settled is how long a start may take until what it alone needed is given back, and then how often that is looked at.
	settled   = 3 * time.Second
	giveBacks = 5 * time.Minute

	madviseDontNeed = 4
)

// giveBack has the kernel take back, now and then, the pages of the program that only its start or something rare needed:
// it maps all that lies around what is used, and keeps what is mapped the longest. What is used again comes back from the
// kernel's cache, or from the disk.
func giveBack(ctx context.Context) {
	timer := time.NewTimer(settled)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		giveBackOnce()
		timer.Reset(giveBacks)
	}
}

// giveBackOnce does what it can: what fails stays as it is.
func giveBackOnce() {
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close() //nolint:errcheck // it was only read
	for _, m := range unchanged(f, own) {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.from, m.to-m.from, madviseDontNeed)
	}
}

// mapping is where a part of a file is in memory.
type mapping struct{ from, to uintptr }

// unchanged gives the parts of a file that are in memory as they are in the file, and that nobody can write. What the
// dynamic linker has changed is Anonymous, and would be lost.
func unchanged(smaps io.Reader, file string) (all []mapping) {
	var m mapping
	of := false
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) >= 5 && strings.Contains(fields[0], "-"):
			_, err := fmt.Sscanf(fields[0], "%x-%x", &m.from, &m.to)
			of = err == nil && len(fields) == 6 && fields[5] == file && !strings.Contains(fields[1], "w")
		case of && len(fields) == 3 && fields[0] == "Anonymous:":
			if fields[1] == "0" {
				all = append(all, m)
			}
		}
	}
	return all
}
