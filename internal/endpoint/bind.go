package endpoint

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "samsara.internal/gateway/gen/api/v1"
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
//   - two fields that are one parameter or member and both set; in the body only if they differ;
//   - a required query parameter or body field that is unset. A required list counts as unset in the query
//     only. No body field is required with an update mask, or if an optional body is not sent;
//   - text that is not UTF-8, numbers that are not finite, and whatever else
//     [transcode.Encoder.Append] refuses;
//   - a path of the update mask that does not name a field of the body;
//   - path and query longer than MaxRequestLineBytes.
//
// An update mask without paths counts as unset.
func (e *Endpoint) Bind(m protoreflect.Message) (Request, error) {
	if m.Descriptor() != e.Input.Descriptor() {
		return Request{}, wrongMessage(m, e.Input)
	}
	b := binding{line: make([]byte, 0, 256)}
	from := built{m}
	b.path(e.path, from)
	path := len(b.line)
	b.query(e.query, from)
	body := b.body(e, m)
	if len(b.violations) > 0 {
		return Request{}, &ArgumentError{Violations: b.violations}
	}
	line := string(b.line)
	return Request{Path: line[:path], Query: line[path:], Body: body}, nil
}

func wrongMessage(m protoreflect.Message, want protoreflect.MessageType) error {
	return &ArgumentError{Violations: []Violation{{
		Description: fmt.Sprintf("message is %s, must be %s", m.Descriptor().FullName(), want.Descriptor().FullName()),
	}}}
}

// binding is one call of Bind: path and query as they grow, and what is wrong so far.
type binding struct {
	line []byte
	// full is whether the line is too long. Then no more values are added.
	full       bool
	violations []Violation
}

const isRequired = "is required"

func (b *binding) violation(field, description string) {
	if len(b.violations) < MaxViolations {
		b.violations = append(b.violations, Violation{Field: field, Description: description})
	}
}

func (b *binding) path(segments []segment, m source) {
	for _, s := range segments {
		b.line = append(b.line, '/')
		if len(s.fields) == 0 {
			b.line = append(b.line, s.literal...)
			continue
		}
		var field protoreflect.FieldDescriptor
		for _, fd := range s.fields {
			field = b.one(field, fd, m)
		}
		if field == nil {
			b.violation(s.fields.name(), isRequired)
			continue
		}
		v := m.Get(field)
		if field.Kind() == protoreflect.StringKind && climbs(v.String()) {
			b.violation(string(field.Name()), "is "+quote(v.String())+", must be neither empty nor a path segment of dots")
			continue
		}
		b.value(field, v, keptInPath)
	}
}

// one returns the field of a parameter that counts: set, the one found so far or nil, or else older if that
// is set. If both are set, that is a violation.
func (b *binding) one(set, older protoreflect.FieldDescriptor, m source) protoreflect.FieldDescriptor {
	switch {
	case !m.Has(older):
		return set
	case set == nil:
		return older
	default:
		b.violation(string(set.Name()), notTogether(older))
		return set
	}
}

func notTogether(older protoreflect.FieldDescriptor) string {
	return fmt.Sprintf("must not be set together with %s, which is the same parameter", older.Name())
}

func (b *binding) query(parameters []parameter, m source) {
	start := len(b.line)
	for i := range parameters {
		p := b.form(&parameters[i], m)
		if p == nil {
			if parameters[i].required {
				b.violation(string(parameters[i].field.Name()), isRequired)
			}
			continue
		}
		if len(b.line) > start {
			b.line = append(b.line, '&')
		}
		b.line = append(b.line, p.key...)
		switch {
		case p.set:
			b.set(p, m.list(p.field))
		case p.field.IsList():
			values := m.list(p.field)
			for i := 0; i < values.Len() && !b.full; i++ {
				b.separate(p, i)
				b.value(p.field, values.Get(i), keptInQuery)
			}
		default:
			b.value(p.field, m.Get(p.field), keptInQuery)
		}
	}
}

// form returns the form of a parameter that m has, nil if it has none.
func (b *binding) form(newest *parameter, m source) *parameter {
	var set *parameter
	if m.Has(newest.field) {
		set = newest
	}
	for i := range newest.older {
		older := &newest.older[i]
		switch {
		case set != nil:
			b.one(set.field, older.field, m)
		case m.Has(older.field):
			set = older
		}
	}
	return set
}

// separate adds what comes before the i-th value of a list.
func (b *binding) separate(p *parameter, i int) {
	switch {
	case i == 0:
	case p.style == apiv1.ArrayStyle_ARRAY_STYLE_COMMA:
		b.line = append(b.line, ',')
	default:
		b.line = append(b.line, '&')
		b.line = append(b.line, p.key...)
	}
}

// set adds the values of a list in the order of their texts, each once. Most lists come in this order.
func (b *binding) set(p *parameter, values values) {
	start, found := len(b.line), len(b.violations)
	var last []byte
	for i := range values.Len() {
		b.separate(p, i)
		from := len(b.line)
		b.value(p.field, values.Get(i), keptInQuery)
		if b.full {
			return
		}
		if i > 0 && bytes.Compare(b.line[from:], last) <= 0 {
			b.line, b.violations = b.line[:start], b.violations[:found]
			b.sort(p, values)
			return
		}
		last = b.line[from:]
	}
}

func (b *binding) sort(p *parameter, values values) {
	start := len(b.line)
	texts := make([]string, 0, values.Len())
	for i := 0; i < values.Len() && !b.full; i++ {
		b.value(p.field, values.Get(i), keptInQuery)
		texts = append(texts, string(b.line[start:]))
		b.line = b.line[:start]
	}
	slices.Sort(texts)
	for i, text := range slices.Compact(texts) {
		b.separate(p, i)
		b.line = append(b.line, text...)
		if b.tooLong(p.field) {
			return
		}
	}
}

// value adds the text of one value to the line, escaped.
func (b *binding) value(fd protoreflect.FieldDescriptor, v protoreflect.Value, kept func(byte) bool) {
	if b.full {
		return
	}
	name := string(fd.Name())
	switch fd.Kind() {
	case protoreflect.StringKind:
		s := v.String()
		switch {
		case len(s) > MaxRequestLineBytes:
			// It would be escaped only to be refused.
			b.full = true
		case !utf8.ValidString(s):
			b.violation(name, "is "+quote(s)+", must be valid UTF-8")
		default:
			b.line = appendEscaped(b.line, s, kept)
		}
	case protoreflect.BoolKind:
		b.line = strconv.AppendBool(b.line, v.Bool())
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			b.violation(name, fmt.Sprintf("is %v, must be a finite number", f))
		}
		b.line = strconv.AppendFloat(b.line, v.Float(), 'f', -1, floatBits(fd.Kind()))
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		b.line = strconv.AppendUint(b.line, v.Uint(), 10)
	default: // The remaining kinds that Load lets pass are signed integers.
		b.line = strconv.AppendInt(b.line, v.Int(), 10)
	}
	b.tooLong(fd)
}

// tooLong refuses a line that fd made too long.
func (b *binding) tooLong(fd protoreflect.FieldDescriptor) bool {
	if b.full || len(b.line) > MaxRequestLineBytes {
		b.full = true
		b.violation(string(fd.Name()), fmt.Sprintf("makes path and query longer than %d bytes", MaxRequestLineBytes))
	}
	return b.full
}

func floatBits(kind protoreflect.Kind) int {
	if kind == protoreflect.FloatKind {
		return 32
	}
	return 64
}

// body returns the JSON body, nil if none is sent.
func (b *binding) body(e *Endpoint, m protoreflect.Message) []byte {
	required := e.Operation.GetBody() == apiv1.Body_BODY_REQUIRED
	mask, ok := b.mask(e, m)
	if !ok {
		return nil
	}
	if mask == nil {
		if !required && !slices.ContainsFunc(e.BodyFields, m.Has) {
			return nil
		}
		for _, path := range e.body.Missing(m, MaxViolations) {
			b.violation(path, isRequired)
		}
	}
	// JSON is about twice the size of the wire form.
	body, err := e.body.Append(make([]byte, 0, 64+2*proto.Size(m.Interface())), m, mask)
	var refused *transcode.FieldError
	if errors.As(err, &refused) {
		b.violation(refused.Path, refused.Reason)
	}
	return body
}

// mask returns the compiled update mask, nil if the request has none. It returns false if the mask is
// refused.
func (b *binding) mask(e *Endpoint, m protoreflect.Message) (*transcode.Mask, bool) {
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
			b.violation(string(e.mask.Name()), quote(refused.Path)+" "+refused.Reason)
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
