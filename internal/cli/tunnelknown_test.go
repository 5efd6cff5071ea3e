package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// meetAsProcess has the test program meet devices as a command would: file, first device and how many.
const meetAsProcess = "BULKHEAD_TEST_MEET_DEVICES"

func TestCommandsThatMeetDevicesAtOnceForgetNone(t *testing.T) {
	t.Parallel()
	if told := os.Getenv(meetAsProcess); told != "" {
		var first, many int
		file, numbers, _ := strings.Cut(told, "|")
		if _, err := fmt.Sscanf(numbers, "%d %d", &first, &many); err != nil {
			t.Fatal(err)
		}
		k := &knownDevices{file: file}
		for d := first; d < first+many; d++ {
			if met, err := k.check("https://s", wire.Key(d), "press", fmt.Sprint("key ", d)); !met || err != nil {
				t.Errorf("%v, %v", met, err)
			}
		}
		return
	}
	file := filepath.Join(t.TempDir(), "contexts", "known_devices")
	const processes, each = 6, 8
	var wg sync.WaitGroup
	for p := range processes {
		wg.Go(func() {
			c := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
			c.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%d %d", meetAsProcess, file, p*each, each))
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	known := &knownDevices{file: file}
	for d := range processes * each {
		if met, err := known.check("https://s", wire.Key(d), "press", fmt.Sprint("key ", d)); met || err != nil {
			t.Fatalf("device %d: %v, %v", d, met, err)
		}
	}
}

// Of two commands that meet a device at once through two gateways, of which one lies, one believes it and the other does not.
func TestADeviceIsMetForTheFirstTimeOnce(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "known_devices")
	var wg sync.WaitGroup
	var mu sync.Mutex
	met, refused := 0, 0
	for i := range 16 {
		wg.Go(func() {
			first, err := (&knownDevices{file: file}).check("https://s", 7, "press", fmt.Sprint("key ", i))
			mu.Lock()
			defer mu.Unlock()
			if first && err == nil {
				met++
			}
			if errs.KindOf(err) == wire.Unauthenticated {
				refused++
			}
		})
	}
	wg.Wait()
	if met != 1 || refused != 15 {
		t.Errorf("%d believed it, %d did not", met, refused)
	}
}

// Which key a name has is the server's word: a lying one would say another, of a device that was never met.
func TestANameThatLeadsToAnotherDeviceIsNotTrusted(t *testing.T) {
	t.Parallel()
	known := &knownDevices{file: filepath.Join(t.TempDir(), "known_devices")}
	meet := func(device wire.Key, name, key string, first bool, kind wire.Kind, says string) {
		t.Helper()
		met, err := known.check("https://s", device, name, key)
		if met != first || errs.KindOf(err) != kind || kind != "" && !strings.Contains(errs.UserText(err), says) {
			t.Errorf("%s as %d: %v, %v", name, device, met, err)
		}
	}
	meet(7, "plant/press", "key 7", true, "", "")
	meet(8, "plant/press", "key 8", false, wire.Unauthenticated, "another device than the one that had this name")
	meet(7, "plant/press", "key 8", false, wire.Unauthenticated, "the key of plant/press has changed")
	meet(7, "plant/renamed", "key 7", false, "", "")
	meet(9, "plant/renamed", "key 9", false, wire.Unauthenticated, "another device")
	meet(8, "plant/oven", "key 8", true, "", "") // nothing was believed of it before
	if err := known.forget("https://s", 8, "plant/press"); err != nil {
		t.Fatal(err)
	}
	meet(8, "plant/press", "key 8", true, "", "")
}

func TestAFileOfKnownDevicesThatIsBrokenTrustsNone(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "known_devices")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if first, err := (&knownDevices{file: file}).check("https://s", 7, "press", "key"); first || err == nil {
		t.Errorf("%v, %v", first, err)
	}
}
