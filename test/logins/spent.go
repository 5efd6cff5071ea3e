package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"bulkhead/backend/account/password/apart"
)

// spent is processor time: of the server's own process, of those in which it hashes passwords, and of its database.
type spent struct{ server, hashes, database time.Duration }

func (s spent) since(before spent) spent {
	return spent{s.server - before.server, s.hashes - before.hashes, s.database - before.database}
}

// spent reads what the server and all that it has started have spent. Where the system does not show its processes in files, it
// is nothing.
func (s *served) spent() (all spent) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return spent{}
	}
	parents, times := map[int]int{}, map[int]time.Duration{}
	for _, file := range files {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file))) // it is digits
		parents[pid], times[pid] = processTimes(file)
	}
	server := s.cmd.Process.Pid
	all.server = times[server]
	for pid, took := range times {
		switch {
		case pid == server || !below(parents, pid, server):
		case hashes(pid):
			all.hashes += took
		default:
			all.database += took
		}
	}
	return all
}

// processTimes gives a process's parent and what it has spent, with its children that have ended.
func processTimes(file string) (parent int, took time.Duration) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, 0 // it has ended
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks [4]int64
	_, _ = fmt.Sscan(strings.Join(append([]string{fields[1]}, fields[11:15]...), " "), &parent, &ticks[0], &ticks[1], &ticks[2], &ticks[3])
	return parent, time.Duration(ticks[0]+ticks[1]+ticks[2]+ticks[3]) * 10 * time.Millisecond
}

func below(parents map[int]int, pid, ancestor int) bool {
	for pid > 1 {
		if pid = parents[pid]; pid == ancestor {
			return true
		}
	}
	return false
}

func hashes(pid int) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && bytes.Contains(line, []byte(apart.Command))
}
