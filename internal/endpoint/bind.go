package endpoint

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
	"samsara.internal/gateway/internal/transcode"
)

const (
	// MaxRequestLineBytes bounds path and query together, escaped. Servers commonly refuse far
	// less; the bound keeps a hostile request from taking memory.
	MaxRequestLineBytes = 64 << 10
	// MaxViolations is how many violations an ArgumentError lists: the first ones found.
	MaxViolations = 64
	// MaxValueBytes is how much of a value a violation quotes.
	MaxValueBytes = 64
)

// Bind turns a request message into an HTTP request. The error is an *ArgumentError with all
// that is wrong with the message:
//
//   - a path field that is unset, empty, `.` or `..`, also percent-encoded;
//   - a required query parameter or body field that is unset. A required list counts as unset
//     in the query only. With an update mask no body field is required, and where an optional
//     body is not sent neither;
//   - text that is not UTF-8, numbers that are not finite, and whatever else
//     [transcode.Encoder.Append] refuses;
//   - a path of the update mask that does not name a field of the body;
//   - path and query longer than MaxRequestLineBytes.
//
// An update mask without paths is as one that is unset.
func (e *Endpoint) Bind(m protoreflect.Message) (Request, error) {
	if m.Descriptor() != e.Input.Descriptor() {
		return Request{}, &ArgumentError{Violations: []Violation{{
			Description: fmt.Sprintf("message is %s, must be %s", m.Descriptor().FullName(), e.Input.Descriptor().FullName()),
		}}}
	}
	var found violations
	line := lineWriter{buf: make([]byte, 0, 256), found: &found}
	e.writePath(&line, m)
	path := len(line.buf)
	e.writeQuery(&line, m)
	body := e.bindBody(m, &found)
	if len(found) > 0 {
		return Request{}, &ArgumentError{Violations: found}
	}
	text := string(line.buf)
	return Request{Path: text[:path], Query: text[path:], Body: body}, nil
}

// violations collects at most MaxViolations.
type violations []Violation

func (v *violations) add(field, description string) {
	if len(*v) < MaxViolations {
		*v = append(*v, Violation{Field: field, Description: description})
	}
}

const isRequired = "is required"

func (e *Endpoint) writePath(line *lineWriter, m protoreflect.Message) {
	for _, s := range e.path {
		line.buf = append(line.buf, '/')
		if s.field == nil {
			line.buf = append(line.buf, s.literal...)
			continue
		}
		name := string(s.field.Name())
		v := m.Get(s.field)
		switch {
		case !m.Has(s.field):
			line.found.add(name, isRequired)
		case s.field.Kind() == protoreflect.StringKind && climbs(v.String()):
			line.found.add(name, "is "+quote(v.String())+", must be neither empty nor a path segment of dots")
		default:
			line.write(s.field, v, keptInPath)
		}
	}
}

func (e *Endpoint) writeQuery(line *lineWriter, m protoreflect.Message) {
	start := len(line.buf)
	for i := range e.query {
		p := &e.query[i]
		if !m.Has(p.field) {
			if p.required {
				line.found.add(string(p.field.Name()), isRequired)
			}
			continue
		}
		if len(line.buf) > start {
			line.buf = append(line.buf, '&')
		}
		line.buf = append(line.buf, p.key...)
		v := m.Get(p.field)
		if !p.field.IsList() {
			line.write(p.field, v, keptInQuery)
			continue
		}
		values := v.List()
		for i := 0; i < values.Len() && !line.full; i++ {
			switch {
			case i == 0:
			case p.style == gatewayv1.ArrayStyle_ARRAY_STYLE_COMMA:
				line.buf = append(line.buf, ',')
			default:
				line.buf = append(line.buf, '&')
				line.buf = append(line.buf, p.key...)
			}
			line.write(p.field, values.Get(i), keptInQuery)
		}
	}
}

// lineWriter builds path and query, and notes which values cannot go there.
type lineWriter struct {
	buf   []byte
	found *violations
	// full is whether the line is too long: then no more values are written.
	full bool
}

// write appends the text of one value, escaped.
func (w *lineWriter) write(fd protoreflect.FieldDescriptor, v protoreflect.Value, kept func(byte) bool) {
	if w.full {
		return
	}
	name := string(fd.Name())
	switch fd.Kind() {
	case protoreflect.StringKind:
		s := v.String()
		switch {
		case len(s) > MaxRequestLineBytes:
			// It is not escaped only to be refused.
			w.full = true
		case !utf8.ValidString(s):
			w.found.add(name, "is "+quote(s)+", must be valid UTF-8")
		default:
			w.buf = appendEscaped(w.buf, s, kept)
		}
	case protoreflect.BoolKind:
		w.buf = strconv.AppendBool(w.buf, v.Bool())
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			w.found.add(name, fmt.Sprintf("is %v, must be a finite number", f))
		}
		w.buf = strconv.AppendFloat(w.buf, v.Float(), 'f', -1, floatBits(fd.Kind()))
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		w.buf = strconv.AppendUint(w.buf, v.Uint(), 10)
	default: // The remaining kinds that Load lets pass are signed integers.
		w.buf = strconv.AppendInt(w.buf, v.Int(), 10)
	}
	if w.full || len(w.buf) > MaxRequestLineBytes {
		w.full = true
		w.found.add(name, fmt.Sprintf("makes path and query longer than %d bytes", MaxRequestLineBytes))
	}
}

func floatBits(kind protoreflect.Kind) int {
	if kind == protoreflect.FloatKind {
		return 32
	}
	return 64
}

// bindBody returns the JSON body, nil where none is sent.
func (e *Endpoint) bindBody(m protoreflect.Message, found *violations) []byte {
	required := e.Operation.GetBody() == gatewayv1.Body_BODY_REQUIRED
	mask, ok := e.bindMask(m, found)
	if !ok {
		return nil
	}
	if mask == nil {
		if !required && !slices.ContainsFunc(e.BodyFields, m.Has) {
			return nil
		}
		for _, path := range e.body.Missing(m, MaxViolations) {
			found.add(path, isRequired)
		}
	}
	// JSON is about twice the size of the wire form.
	body, err := e.body.Append(make([]byte, 0, 64+2*proto.Size(m.Interface())), m, mask)
	var refused *transcode.FieldError
	if errors.As(err, &refused) {
		found.add(refused.Path, refused.Reason)
	}
	return body
}

// bindMask returns the compiled update mask, nil where the request has none, and false where
// it is refused.
func (e *Endpoint) bindMask(m protoreflect.Message, found *violations) (*transcode.Mask, bool) {
	if e.mask == nil || !m.Has(e.mask) {
		return nil, true
	}
	fieldMask := m.Get(e.mask).Message()
	list := fieldMask.Get(fieldMask.Descriptor().Fields().ByName("paths")).List()
	paths := make([]string, list.Len())
	for i := range paths {
		paths[i] = list.Get(i).String()
	}
	mask, err := e.body.Mask(paths)
	if err == nil {
		return mask, true
	}
	for _, err := range flatten(err) {
		var refused *transcode.FieldError
		if errors.As(err, &refused) {
			found.add(string(e.mask.Name()), quote(refused.Path)+" "+refused.Reason)
		}
	}
	return nil, false
}

// quote returns a value as violations show it: quoted, and cut to MaxValueBytes before.
func quote(s string) string {
	if len(s) <= MaxValueBytes {
		return strconv.Quote(s)
	}
	end := MaxValueBytes
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return strconv.Quote(s[:end]) + "..."
}
