package model

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"

	"samsara.internal/gateway/cmd/protogen/internal/document"
)

// LeftOut lists the operations that are left out of the API by name, because they cannot be expressed.
type LeftOut struct {
	file    string
	entries []entry
}

// entry names one operation: by its operationId, or by method and path, such as "GET /things", if it has
// none.
type entry struct {
	Operation string
	Reason    string
	line      int
}

// UnmarshalYAML reads an entry and its line.
func (e *entry) UnmarshalYAML(node *yaml.Node) error {
	e.line = node.Line
	members := map[string]string{}
	if err := node.Decode(&members); err != nil {
		return err
	}
	e.Operation, e.Reason = members["operation"], members["reason"]
	delete(members, "operation")
	delete(members, "reason")
	if len(members) > 0 {
		return fmt.Errorf("line %d: want only an operation and a reason, also have %q", e.line, slices.Sorted(maps.Keys(members)))
	}
	return nil
}

// ReadLeftOut reads the list in a file: a sequence of entries with an operation and a reason. A missing
// file is an empty list. The error joins everything that is wrong with the list.
func ReadLeftOut(file string) (LeftOut, error) {
	list := LeftOut{file: file}
	raw, err := os.ReadFile(file) //nolint:gosec // the caller names the list
	if errors.Is(err, fs.ErrNotExist) {
		return list, nil
	}
	if err != nil {
		return list, err
	}
	if err := yaml.Unmarshal(raw, &list.entries); err != nil {
		return list, fmt.Errorf("%s: %w", file, err)
	}
	var problems []error
	for i, e := range list.entries {
		switch {
		case e.Operation == "" || e.Reason == "":
			problems = append(problems, list.errorf(e, "want an operation and a reason, have %q and %q", e.Operation, e.Reason))
		case slices.ContainsFunc(list.entries[:i], func(other entry) bool { return other.Operation == e.Operation }):
			problems = append(problems, list.errorf(e, "%q is there already", e.Operation))
		}
	}
	return list, errors.Join(problems...)
}

func (l LeftOut) errorf(e entry, format string, args ...any) error {
	return fmt.Errorf("%s:%d: "+format, append([]any{l.file, e.line}, args...)...)
}

// find returns the index of the entry for the operation, -1 if there is none.
func (l LeftOut) find(op *document.Operation) int {
	return slices.IndexFunc(l.entries, func(e entry) bool {
		return e.Operation == op.ID || e.Operation == op.Method+" "+op.Path
	})
}

// Model is what a document says of the API.
type Model struct {
	Operations  []Operation // by path and method, without those that are left out
	Unsupported []error     // for operations that cannot be expressed and are not left out
	Unused      []error     // for entries of the list that leave out nothing
	Idle        []error     // for corrections of the document that change nothing
	Version     string      // of the document
	SHA256      string      // of the document before it is corrected, in hexadecimal
}

// Read returns what the document says of the API, without the operations that are left out.
func Read(doc *document.Document, leftOut LeftOut) Model {
	m := Model{Idle: doc.Idle, Version: doc.Version, SHA256: doc.SHA256}
	used := map[int]bool{}
	ids := map[string]*document.Operation{}
	stable := newAreas(doc.Operations)
	for _, op := range doc.Operations {
		o, err := newOperation(op, stable)
		if other := ids[op.ID]; other != nil && err == nil {
			err = op.Errorf("the operationId %q is that of %s %s too: %w", op.ID, other.Method, other.Path, ErrUnsupported)
		}
		ids[op.ID] = op
		if i := leftOut.find(op); i >= 0 {
			used[i] = true
			if err == nil && o.Unstreamable == nil {
				m.Unused = append(m.Unused, leftOut.errorf(leftOut.entries[i], "%s can be expressed, so it must not be left out", named(op)))
			}
			continue
		}
		if err != nil {
			m.Unsupported = append(m.Unsupported, withName(op, err))
			continue
		}
		for _, err := range o.idle {
			m.Idle = append(m.Idle, withName(op, err))
		}
		o.Unstreamable = withName(op, o.Unstreamable)
		m.Operations = append(m.Operations, o)
	}
	for i, e := range leftOut.entries {
		if !used[i] {
			m.Unused = append(m.Unused, leftOut.errorf(e, "the document has no operation %q to leave out", e.Operation))
		}
	}
	for _, mark := range doc.Marks {
		// An operation that cannot be expressed is not read to its end.
		read := slices.ContainsFunc(m.Operations, func(o Operation) bool { return o.reads(mark) })
		if !read && len(m.Unsupported) == 0 {
			m.Idle = append(m.Idle, mark.Unread())
		}
	}
	slices.SortFunc(m.Operations, func(a, b Operation) int { return Compare(a.Annotation, b.Annotation) })
	return m
}

// reads reports whether an extension is one that is read for the operation.
func (o Operation) reads(mark document.Mark) bool {
	switch mark.Name {
	case "x-wrapped-in":
		return o.answer != nil && mark.Pointer == o.answer.Pointer
	case "x-other-name":
		return hasMember(o.answer, mark.Pointer, map[*document.Schema]bool{})
	}
	return mark.Pointer == o.Pointer
}

// hasMember reports whether a member of a schema, or of one below it, has a schema at the pointer. It
// looks into no schema twice.
func hasMember(s *document.Schema, pointer string, seen map[*document.Schema]bool) bool {
	if s == nil || seen[s] {
		return false
	}
	seen[s] = true
	for _, member := range s.Properties {
		if member.Pointer == pointer || hasMember(member, pointer, seen) {
			return true
		}
	}
	below := slices.Concat([]*document.Schema{s.Items, s.Values}, s.AllOf, s.OneOf, s.AnyOf)
	return slices.ContainsFunc(below, func(s *document.Schema) bool { return hasMember(s, pointer, seen) })
}

// named returns the name of an operation in errors.
func named(op *document.Operation) string {
	if op.ID == "" {
		return op.Method + " " + op.Path
	}
	return fmt.Sprintf("%s (%s %s)", op.ID, op.Method, op.Path)
}

// OperationError is an error about an operation.
type OperationError struct {
	Name string // operationId, method and path
	Err  error
}

func (e *OperationError) Error() string { return e.Err.Error() }

// Unwrap returns the error with its location in the document.
func (e *OperationError) Unwrap() error { return e.Err }

// withName returns an error that names the operation; nil if err is nil.
func withName(op *document.Operation, err error) error {
	var located *document.Error
	if errors.As(err, &located) {
		err = located.Errorf("%s: %w", named(op), located.Err)
	}
	if err == nil {
		return nil
	}
	return &OperationError{named(op), err}
}
