package databackend

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"gopkg.in/yaml.v3"
)

// readDocument reads one document of JSON or YAML as a tree in which every node knows its line. JSON is read as JSON, since
// YAML reads some of it otherwise (tabs, surrogate pairs).
func readDocument(data []byte) (*yaml.Node, error) {
	if len(data) > MaxTemplate {
		return nil, fmt.Errorf("larger than %d bytes", MaxTemplate)
	}
	if json.Valid(data) {
		return readJSON(data)
	}
	return readYAML(data)
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?`)

func readYAML(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, errors.New("empty")
	case err != nil:
		return nil, syntaxFault(err)
	case len(doc.Content) != 1:
		return nil, errors.New("empty")
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		return nil, errors.New("more than one document")
	case !errors.Is(err, io.EOF):
		return nil, syntaxFault(err)
	}
	return doc.Content[0], nil
}

// syntaxFault takes the line out of the reader's message, so that it stands where other faults have theirs.
func syntaxFault(err error) error {
	text := err.Error()
	m := yamlLine.FindStringSubmatch(text)
	if m == nil {
		return err
	}
	line, _ := strconv.Atoi(m[1]) // 0 where the message has none
	return Fault{Line: line, Text: "neither JSON nor YAML: " + text[len(m[0]):]}
}

// readJSON reads valid JSON into the nodes that YAML would give.
func readJSON(data []byte) (*yaml.Node, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	r := jsonReader{dec: dec, data: data}
	return r.value()
}

type jsonReader struct {
	dec  *json.Decoder
	data []byte
	at   int64 // bytes whose newlines are counted in line
	line int
}

func (r *jsonReader) value() (*yaml.Node, error) {
	token, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	n := &yaml.Node{Line: r.lineNow()}
	switch t := token.(type) {
	case json.Delim:
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		if t == '{' {
			n.Kind, n.Tag = yaml.MappingNode, "!!map"
		}
		return n, r.children(n)
	case string:
		n.Kind, n.Tag, n.Value = yaml.ScalarNode, "!!str", t
	case json.Number:
		n.Kind, n.Tag, n.Value = yaml.ScalarNode, "!!float", t.String()
	case bool:
		n.Kind, n.Tag, n.Value = yaml.ScalarNode, "!!bool", strconv.FormatBool(t)
	default:
		n.Kind, n.Tag = yaml.ScalarNode, "!!null"
	}
	return n, nil
}

func (r *jsonReader) children(n *yaml.Node) error {
	for r.dec.More() {
		child, err := r.value()
		if err != nil {
			return err
		}
		n.Content = append(n.Content, child)
	}
	_, err := r.dec.Token() // the closing delimiter
	return err
}

// lineNow is the line of the token that was just read.
func (r *jsonReader) lineNow() int {
	end := r.dec.InputOffset()
	r.line += bytes.Count(r.data[r.at:end], []byte("\n"))
	r.at = end
	return r.line + 1
}
