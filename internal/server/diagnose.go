package server

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"bulkhead/db/cluster"
	"bulkhead/internal/errs"
)

// Finding is one thing that a server needs of its machine.
type Finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// State is the finding in one word.
func (f Finding) State() string {
	if f.OK {
		return "ok"
	}
	return "missing"
}

// enoughFiles is the number of open files below which a fleet is refused connections early.
const enoughFiles = 4096

// Diagnose looks at this machine as a server would.
func Diagnose() []Finding {
	return []Finding{diagnosePostgres(), diagnoseFiles(), diagnoseMemory()}
}

func diagnosePostgres() Finding {
	version, dir, err := cluster.Find(nil)
	if err != nil {
		return Finding{"postgresql", false, errs.UserText(err)}
	}
	return Finding{"postgresql", true, fmt.Sprintf("%d in %s", version, dir)}
}

func diagnoseFiles() Finding {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return Finding{"open files", false, err.Error()}
	}
	return Finding{"open files", limit.Max >= enoughFiles, fmt.Sprintf("limit %d; a connection takes one (want %d or more)", limit.Max, enoughFiles)}
}

func diagnoseMemory() Finding {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return Finding{"memory", false, err.Error()}
	}
	mib := uint64(info.Totalram) * uint64(info.Unit) >> 20
	return Finding{"memory", mib >= 512, fmt.Sprintf("%d MiB, %d CPUs, uid %d", mib, runtime.NumCPU(), os.Getuid())}
}
