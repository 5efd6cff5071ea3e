package databackend

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// ParseTemplate reads a data template, in YAML or JSON. All that is wrong in it is reported at once, as Faults with line
// and path; file is the name that they carry. A property that is unknown, or that this version cannot honour, is a fault.
func ParseTemplate(file string, data []byte) (Template, error) {
	root, err := readDocument(data)
	if err != nil {
		fault := Fault{Text: err.Error()}
		errors.As(err, &fault)
		fault.File = file
		return Template{}, Faults{fault}
	}
	p := &parser{file: file}
	t := p.template(root)
	if len(p.faults) > 0 {
		slices.SortStableFunc(p.faults, func(a, b Fault) int { return a.Line - b.Line })
		return Template{}, p.faults
	}
	return t, nil
}

// parser walks a document and collects its faults. Its methods return zero values for what is faulty.
type parser struct {
	file   string
	faults Faults
}

func (p *parser) fault(n *yaml.Node, path, format string, args ...any) {
	p.faults = append(p.faults, Fault{File: p.file, Line: n.Line, Path: path, Text: fmt.Sprintf(format, args...)})
}

// fields are the properties of one object.
type fields struct {
	node   *yaml.Node
	path   string
	values map[string]*yaml.Node
}

func (f fields) at(name string) string { return strings.TrimPrefix(f.path+"."+name, ".") }

// object reads an object whose properties are among known.
func (p *parser) object(n *yaml.Node, path string, known ...string) fields {
	f := fields{node: n, path: path, values: map[string]*yaml.Node{}}
	if n.Kind != yaml.MappingNode {
		p.fault(n, path, "want an object, have %s", kindOf(n))
		return f
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch name := key.Value; {
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" || !slices.Contains(known, name):
			p.fault(key, f.at(key.Value), "unknown property; known here: %s", strings.Join(known, ", "))
		case f.values[name] != nil:
			p.fault(key, f.at(name), "given twice, first on line %d", f.values[name].Line)
		default:
			f.values[name] = value
		}
	}
	return f
}

// require reports the properties that are absent.
func (p *parser) require(f fields, names ...string) {
	if f.node.Kind != yaml.MappingNode {
		return // reported already
	}
	for _, name := range names {
		if f.values[name] == nil {
			p.fault(f.node, f.path, "%s is missing", name)
		}
	}
}

// list reads a list of at most limit entries and calls each for every one.
func (p *parser) list(f fields, name string, limit int, each func(n *yaml.Node, path string)) {
	n, path := f.values[name], f.at(name)
	switch {
	case n == nil:
	case n.Kind != yaml.SequenceNode:
		p.fault(n, path, "want a list, have %s", kindOf(n))
	case len(n.Content) == 0:
		p.fault(n, path, "is empty")
	case len(n.Content) > limit:
		p.fault(n, path, "has %d entries, at most %d are allowed", len(n.Content), limit)
	default:
		for i, child := range n.Content {
			each(child, fmt.Sprintf("%s[%d]", path, i))
		}
	}
}

// text reads a string; absent is "".
func (p *parser) text(f fields, name string) string {
	n := f.values[name]
	if n == nil {
		return ""
	}
	return p.textOf(n, f.at(name))
}

func (p *parser) textOf(n *yaml.Node, path string) string {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		p.fault(n, path, "want a string, have %s", kindOf(n))
		return ""
	}
	return n.Value
}

// name reads a string that must not be empty, and reports whether it has one.
func (p *parser) name(f fields, name string) (string, bool) {
	n := f.values[name]
	if n == nil {
		return "", false // reported by require
	}
	before := len(p.faults)
	s := p.textOf(n, f.at(name))
	if s == "" && len(p.faults) == before {
		p.fault(n, f.at(name), "is empty")
	}
	return s, s != ""
}

func (p *parser) boolean(f fields, name string) bool {
	n := f.values[name]
	if n == nil {
		return false
	}
	var v bool
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Decode(&v) != nil {
		p.fault(n, f.at(name), "want true or false, have %s", kindOf(n))
	}
	return v
}

// interval reads a length of time from least to most; absent is otherwise.
func (p *parser) interval(f fields, name string, least, most, otherwise time.Duration) time.Duration {
	n := f.values[name]
	if n == nil {
		return otherwise
	}
	before := len(p.faults)
	text := p.textOf(n, f.at(name))
	if len(p.faults) > before {
		return otherwise
	}
	d, err := parseInterval(text)
	switch {
	case err != nil:
		p.fault(n, f.at(name), "%q: %s", text, err)
	case d < least || d > most:
		p.fault(n, f.at(name), "%q: want %s to %s", text, least, most)
	}
	return d
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "an object"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias, which templates do not use"
	default:
		switch n.ShortTag() {
		case "!!null":
			return "nothing"
		case "!!str":
			return "a string"
		case "!!bool":
			return "a boolean"
		case "!!int", "!!float":
			return "a number"
		default:
			return "a " + strings.TrimLeft(n.ShortTag(), "!")
		}
	}
}
