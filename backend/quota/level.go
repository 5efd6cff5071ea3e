package quota

// Level is how full a project is.
type Level string

// The levels, from the lowest up.
const (
	Room       Level = "room"
	High       Level = "high"        // 80 % of the quota
	AlmostFull Level = "almost_full" // 95 %
	Full       Level = "full"        // rows are refused
)

// Levels lists them in order.
var Levels = []Level{Room, High, AlmostFull, Full}

var percent = map[Level]int64{High: 80, AlmostFull: 95, Full: 100}

// slack is how many percent a project must fall below a level to leave it, so that one at its edge does not come and go.
const slack = 2

// levelOf gives the level of a project that had another before. One that is almost full, and rows of which were refused, is full.
func levelOf(before Level, used, limit int64, refused bool) Level {
	switch {
	case limit == 0:
		return Room
	case refused && reaches(used, limit, percent[AlmostFull]):
		return Full
	}
	now := Room
	for _, l := range Levels[1:] {
		bar := percent[l]
		if rank(before) >= rank(l) {
			bar -= slack
		}
		if reaches(used, limit, bar) {
			now = l
		}
	}
	return now
}

func rank(l Level) int {
	for i, known := range Levels {
		if l == known {
			return i
		}
	}
	return 0
}

// reaches compares without overflow: quotas are below 2^53.
func reaches(used, limit, percent int64) bool {
	return float64(used)*100 >= float64(limit)*float64(percent)
}
