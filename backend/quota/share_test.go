package quota

import "testing"

func TestSharesLeaveEachProjectItsPartOfTheDisk(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		claims            []claim
		bytes             int64
		shares            []int64
		granted, reserved int64
	}{
		"room for all quotas":             {[]claim{{held: 10, quota: 40}, {quota: 60}}, 100, []int64{40, 60}, 100, 90},
		"quotas beyond the disk":          {[]claim{{held: 10, quota: 150}, {held: 90, quota: 50}}, 150, []int64{56, 18}, 200, 46},
		"one that is larger than all":     {[]claim{{held: 70, quota: 10_000}, {quota: 100}}, 100, []int64{25, 25}, 10_100, 25},
		"one without a quota":             {[]claim{{held: 50}, {held: 5, quota: 50}}, 100, []int64{33, 16}, 150, 11},
		"quotas that nobody can add up":   {[]claim{{quota: Most}, {quota: Most}}, 100, []int64{25, 25}, Most, 50},
		"a disk without room":             {[]claim{{held: 5, quota: 50}, {quota: 50}}, 0, []int64{0, 0}, 100, 0},
		"nobody":                          {nil, 100, nil, 0, 0},
		"one alone, with more than there": {[]claim{{held: 60, quota: 500}}, 100, []int64{50}, 500, 0},
	} {
		granted, reserved := divide(c.claims, c.bytes)
		if granted != c.granted || reserved != c.reserved {
			t.Errorf("%s: %d granted and %d reserved", name, granted, reserved)
		}
		for i, want := range c.shares {
			if got := c.claims[i].share; got != want {
				t.Errorf("%s: the share of %d is %d, not %d", name, i, got, want)
			}
		}
	}
}
