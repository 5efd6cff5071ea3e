package cli

import "testing"

func TestSizesAreReadAndShown(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "1048576": 1 << 20, "20GiB": 20 << 30, "20 GiB": 20 << 30, "500MB": 500e6, "1TiB": 1 << 40, "7B": 7, "3kB": 3000, "8191PiB": -1, "-1": -1, "-1GiB": -1,
		"": -1, "GiB": -1, "1.5GiB": -1, "1e9": -1, "ten": -1, "9223372036854775807": 1<<63 - 1, "9223372036854775808": -1, "9007199254740992GiB": -1, "1gib": -1, "+5": -1, "0x10": -1, "1_000": -1,
	} {
		got, err := parseSize(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q is %d, want %d: %v", text, got, want, err)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1 << 10: "1.0 KiB", 10 << 30: "10.0 GiB", 3 << 39: "1.5 TiB"} {
		if got := size(n); got != want {
			t.Errorf("%d is shown as %s, want %s", n, got, want)
		}
	}
}
