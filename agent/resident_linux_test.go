package agent

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestOnlyWhatIsAsInTheFileIsGivenBack(t *testing.T) {
	t.Parallel()
	const smaps = `00400000-007eb000 r-xp 00000000 fe:00 1 /usr/bin/bulkhead-agent
Size:               4012 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
007eb000-00bef000 r--p 003eb000 fe:00 1 /usr/bin/bulkhead-agent
Anonymous:             0 kB
00bef000-00c4e000 rw-p 007ef000 fe:00 1 /usr/bin/bulkhead-agent
Anonymous:             0 kB
00c4e000-00c4f000 r--p 0084e000 fe:00 1 /usr/bin/bulkhead-agent
Anonymous:             4 kB
00d00000-00d01000 rw-p 00000000 00:00 0
Anonymous:             0 kB
7ff1f0000000-7ff1f0001000 r-xp 00000000 fe:00 2 /usr/lib/libc.so.6
Anonymous:             0 kB
7ffe00000000-7ffe00001000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
`
	want := []mapping{{0x400000, 0x7eb000}, {0x7eb000, 0xbef000}}
	if got := unchanged(strings.NewReader(smaps), "/usr/bin/bulkhead-agent"); !slices.Equal(got, want) {
		t.Errorf("%x", got)
	}
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(unchanged(f, own)) == 0 {
		t.Error("nothing of this program can be given back")
	}
	giveBackOnce() // and it goes on
}
