package databackend

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"bulkhead/wire"
)

// Path is where a submission has a column's value: in a positional argument or a keyword argument, and how deep in it.
// The zero Path finds nothing.
type Path struct {
	Kwargs bool
	Arg    int // position, where Kwargs is false
	Steps  []Step
}

// Step is one step into a value: a key of an object, or the index of a list where Key is "".
type Step struct {
	Key   string
	Index int
}

const (
	maxArg       = 15
	maxPathSteps = 16
)

var (
	errPath      = errors.New(`want a path like args[0].temperature, args[1].x.y, args[0].list[2] or kwargs.x`)
	pathHead     = regexp.MustCompile(`^(?:args\[([0-9]{1,2})\]|kwargs)`)
	pathSegments = regexp.MustCompile(`^(?:\.([^.\[\]]{1,64})|\[([0-9]{1,4})\])`)
)

// ParsePath reads a path.
func ParsePath(s string) (Path, error) {
	head := pathHead.FindStringSubmatch(s)
	if head == nil {
		return Path{}, errPath
	}
	var p Path
	if p.Kwargs = head[1] == ""; !p.Kwargs {
		p.Arg, _ = strconv.Atoi(head[1]) // one or two digits
	}
	for rest := s[len(head[0]):]; rest != ""; {
		m := pathSegments.FindStringSubmatch(rest)
		if m == nil {
			return Path{}, errPath
		}
		p.Steps = append(p.Steps, parseStep(m))
		rest = rest[len(m[0]):]
	}
	keyless := p.Kwargs && (len(p.Steps) == 0 || p.Steps[0].Key == "")
	if keyless || p.Arg > maxArg || len(p.Steps) > maxPathSteps {
		return Path{}, errPath
	}
	return p, nil
}

func parseStep(m []string) Step {
	if m[1] != "" {
		return Step{Key: m[1]}
	}
	index, _ := strconv.Atoi(m[2]) // one to four digits
	return Step{Index: index}
}

// defaultPath is args[0].<id>.
func defaultPath(id string) Path { return Path{Steps: []Step{{Key: id}}} }

// String gives the text that ParsePath reads.
func (p Path) String() string {
	var b strings.Builder
	if p.Kwargs {
		b.WriteString("kwargs")
	} else {
		b.WriteString("args[" + strconv.Itoa(p.Arg) + "]")
	}
	for _, s := range p.Steps {
		if s.Key != "" {
			b.WriteString("." + s.Key)
		} else {
			b.WriteString("[" + strconv.Itoa(s.Index) + "]")
		}
	}
	return b.String()
}

// find gives the value at the path; what is absent on the way is an absent value.
func (p Path) find(args []any, kwargs map[string]any) (any, bool) {
	var v any = kwargs
	if !p.Kwargs {
		if p.Arg >= len(args) {
			return nil, false
		}
		v = args[p.Arg]
	}
	for _, s := range p.Steps {
		var ok bool
		if v, ok = s.into(v); !ok {
			return nil, false
		}
	}
	return v, true
}

func (s Step) into(v any) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		next, ok := v[s.Key]
		return next, ok && s.Key != ""
	case wire.Row:
		return s.into(map[string]any(v))
	case []any:
		if s.Key != "" || s.Index >= len(v) {
			return nil, false
		}
		return v[s.Index], true
	default:
		return nil, false
	}
}
