package document

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

const (
	linesAround = 2  // how many lines an error shows before and after its own
	columns     = 96 // how many characters of each it shows
)

// file is a document as it was read.
type file struct {
	name string
	raw  []byte
	once sync.Once
	root yaml.Node // parsed only if something is wrong
}

// Location is a location in a document: a JSON pointer (RFC 6901), and the file that it leads into.
type Location struct {
	file    *file
	Pointer string
}

// Error is an error at a location in a document. Its text has file, line, column and pointer, and shows
// the lines around it.
type Error struct {
	Location
	Err error
}

func (e *Error) Error() string {
	where, listing := e.file.show(e.Pointer)
	return fmt.Sprintf("%s: #%s: %v%s", where, e.Pointer, e.Err, listing)
}

// Unwrap returns the error without the location.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an error at the location.
func (l Location) Errorf(format string, args ...any) error {
	return &Error{Location: l, Err: fmt.Errorf(format, args...)}
}

func (l Location) member(name string) Location {
	l.Pointer += "/" + strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
	return l
}

func (l Location) entry(i int) Location { return l.member(strconv.Itoa(i)) }

// follow returns the location that a $ref leads to. If ref is empty it returns the location itself.
func (l Location) follow(ref string) Location {
	if pointer, inside := strings.CutPrefix(ref, "#"); inside {
		l.Pointer = pointer
	}
	return l
}

// parsed returns the document with the lines and columns of everything in it; nil if it cannot be read.
func (f *file) parsed() *yaml.Node {
	f.once.Do(func() {
		if yaml.Unmarshal(f.raw, &f.root) != nil {
			f.root = yaml.Node{}
		}
	})
	if len(f.root.Content) == 0 {
		return nil
	}
	return f.root.Content[0]
}

// find returns the line and column of a pointer, or of the longest beginning of it that exists.
func (f *file) find(pointer string) (line, column int, whole bool) {
	node := f.parsed()
	if node == nil {
		return 0, 0, false
	}
	line, column, whole = node.Line, node.Column, true
	for _, name := range strings.Split(pointer, "/")[1:] {
		name = strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~")
		key, value := child(node, name)
		if value == nil {
			return line, column, false
		}
		node, line, column = value, key.Line, key.Column
	}
	return line, column, whole
}

// child returns the member or the entry with that name, and the node that has the name.
func child(node *yaml.Node, name string) (key, value *yaml.Node) {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == name {
				return node.Content[i], node.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i]
		}
	case yaml.AliasNode:
		return child(node.Alias, name)
	case yaml.DocumentNode, yaml.ScalarNode:
	}
	return nil, nil
}

// show returns file, line and column of a pointer, and the lines around it.
func (f *file) show(pointer string) (where, listing string) {
	line, column, _ := f.find(pointer)
	if line == 0 {
		return f.name, ""
	}
	return fmt.Sprintf("%s:%d:%d", f.name, line, column), f.listing(line, column)
}

// listing returns the lines around one, which is marked. Of a long line it has the characters around the
// column: a document may be a single line.
func (f *file) listing(line, column int) string {
	lines := bytes.Split(bytes.TrimSuffix(f.raw, []byte("\n")), []byte("\n"))
	first, last := max(1, line-linesAround), min(len(lines), line+linesAround)
	width := len(strconv.Itoa(last))
	from := max(0, column-1-columns/3)
	var b strings.Builder
	for n := first; n <= last; n++ {
		mark := " "
		if n == line {
			mark = ">"
		}
		fmt.Fprintf(&b, "\n%s %*d | %s", mark, width, n, excerpt(strings.TrimRight(string(lines[n-1]), "\r"), from))
	}
	return b.String()
}

// excerpt returns as much of a line as fits: all of it, or the characters from a position on.
func excerpt(line string, from int) string {
	if len(line) <= columns {
		return line
	}
	all := []rune(line)
	from = max(0, min(from, len(all)-columns))
	to := min(len(all), from+columns)
	shown := string(all[from:to])
	if from > 0 {
		shown = "..." + shown
	}
	if to < len(all) {
		shown += "..."
	}
	return shown
}

// explain returns an error of the library with a location, which the library does not give: that of the
// first $ref that leads nowhere, or of what is neither JSON nor YAML.
func (f *file) explain(err error) error {
	if node := f.parsed(); node != nil {
		if at, what := f.dangling(Location{f, ""}, node); what != "" {
			return at.Errorf("%s", what)
		}
		// What the library says of reading JSON as YAML says nothing new.
		text, _, _ := strings.Cut(err.Error(), ", yaml error: ")
		return Location{f, ""}.Errorf("%s", text)
	}
	err = yaml.Unmarshal(f.raw, new(yaml.Node))
	if err == nil {
		err = errors.New("it is empty")
	}
	line := 1
	if match := regexp.MustCompile(`line (\d+): (.*)`).FindStringSubmatch(err.Error()); match != nil {
		if n, atoiErr := strconv.Atoi(match[1]); atoiErr == nil {
			line, err = n, errors.New(match[2])
		}
	}
	return fmt.Errorf("%s:%d: neither JSON nor YAML: %w%s", f.name, line, err, f.listing(line, 1))
}

// dangling finds the first $ref below a node that leads to nothing, or out of the document.
func (f *file) dangling(at Location, node *yaml.Node) (Location, string) {
	for i := 0; i < len(node.Content); i++ {
		below, value := at.entry(i), node.Content[i]
		if node.Kind == yaml.MappingNode {
			key := value
			i++
			below, value = at.member(key.Value), node.Content[i]
			if key.Value == "$ref" && value.Kind == yaml.ScalarNode {
				pointer, inside := strings.CutPrefix(value.Value, "#")
				if !inside {
					return below, fmt.Sprintf("%q leads out of the document", value.Value)
				}
				if _, _, found := f.find(pointer); !found {
					return below, fmt.Sprintf("%q leads to nothing", value.Value)
				}
			}
		}
		if found, what := f.dangling(below, value); what != "" {
			return found, what
		}
	}
	return at, ""
}
