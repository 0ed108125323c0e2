package endpoint

import (
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"samsara.internal/gateway/internal/transcode"
)

// Find returns the endpoint that an HTTP method and an escaped path match, nil if there is none. If several
// match, the first segment in which they differ decides: a literal wins over a name. The time is proportional
// to the number of endpoints.
func Find(endpoints []*Endpoint, method, path string) *Endpoint {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	var best *Endpoint
	for _, e := range endpoints {
		if e.HTTPMethod == method && e.matches(segments) && (best == nil || e.moreLiteral(best)) {
			best = e
		}
	}
	return best
}

func (e *Endpoint) matches(segments []string) bool {
	if len(e.path) != len(segments) {
		return false
	}
	for i, s := range e.path {
		if len(s.fields) == 0 && s.literal != segments[i] {
			return false
		}
	}
	return true
}

// moreLiteral reports whether e wins over other, which matches the same path: in the first segment in which
// they differ, e has the literal.
func (e *Endpoint) moreLiteral(other *Endpoint) bool {
	for i, s := range e.path {
		if literal := len(s.fields) == 0; literal != (len(other.path[i].fields) == 0) {
			return literal
		}
	}
	return false
}

// Fill sets the path's fields of a request from an escaped path, which must match e. A segment that is the
// template's `{name}` sets nothing. The error is an *ArgumentError if a field is already set to another
// value, or cannot hold the segment.
func (e *Endpoint) Fill(m protoreflect.Message, path string) error {
	var b binding
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, s := range e.path {
		if len(s.fields) > 0 {
			b.fill(m, s.fields, segments[i])
		}
	}
	if len(b.violations) > 0 {
		return &ArgumentError{Violations: b.violations}
	}
	return nil
}

func (b *binding) fill(m protoreflect.Message, fields line, segment string) {
	text, err := url.PathUnescape(segment)
	if name, isName := templateName(text); isName && name == transcode.WireName(fields[0]) {
		return
	}
	for _, fd := range fields {
		if m.Has(fd) {
			if set := m.Get(fd).String(); set != text {
				b.violation(string(fd.Name()), "is "+quote(set)+", must be unset or what the path has: "+quote(text))
			}
			return
		}
	}
	newest := fields[0]
	var number int64
	switch newest.Kind() {
	case protoreflect.StringKind:
		if err == nil {
			m.Set(newest, protoreflect.ValueOfString(text))
			return
		}
	case protoreflect.Int64Kind:
		if number, err = strconv.ParseInt(text, 10, 64); err == nil {
			m.Set(newest, protoreflect.ValueOfInt64(number))
			return
		}
	default: // Samsara's operations have no other kind in a path.
	}
	b.violation(fields.name(), "is "+quote(text)+" in the path, must be "+kindName(newest))
}
