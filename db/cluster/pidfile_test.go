package cluster

import "testing"

func TestThePidFileTellsWhoRunsAndWhetherItIsReady(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		pid   int
		ready bool
	}{
		"42\n/d\n1\n5432\n/r\n\n 1 2\nready   \n": {42, true},
		"42\n/d\n1\n5432\n/r\n\n 1 2\nstarting\n": {42, false},
		"42\n": {42, false}, "": {}, "-1\n": {}, "0\n": {}, "x\n": {}, "99999999999999999999\n": {},
	} {
		if pid, ready := parsePIDFile(text); pid != want.pid || ready != want.ready {
			t.Errorf("%q: %d %t", text, pid, ready)
		}
	}
}

func FuzzParsePIDFile(f *testing.F) {
	f.Add("42\n/d\n1\n5432\n/r\n\n 1 2\nready   \n")
	f.Add("-1")
	f.Fuzz(func(t *testing.T, text string) {
		if pid, ready := parsePIDFile(text); pid < 0 || ready && pid == 0 {
			t.Errorf("%q: %d %t", text, pid, ready)
		}
	})
}
