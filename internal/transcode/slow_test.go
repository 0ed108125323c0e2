package transcode_test

import (
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"samsara.internal/gateway/internal/transcode"
)

// This file is a second decoder, written from the package comment: slow, and as simple as can be.

// node is a JSON value.
type node struct {
	// kind is its first byte: { [ " t f n, and 0 for a number.
	kind byte
	// raw is its text in the document.
	raw string
	// text is the text of a string. invalid is whether some of it had to be replaced; for an array or object,
	// whether that is so of any string within, names included.
	text    string
	invalid bool
	// members are the members of an object, or the elements of an array, without names.
	members []member
}

type member struct {
	name string
	// invalid is whether some of the name had to be replaced.
	invalid bool
	value   *node
}

// fixed returns the text of a JSON string with U+FFFD for all that is not valid.
func fixed(raw string) (text string, invalid bool) {
	var b strings.Builder
	for i := 0; i < len(raw); {
		hex := func(i int) rune {
			if i+6 > len(raw) || raw[i:i+2] != `\u` {
				return 0
			}
			v, _ := strconv.ParseUint(raw[i+2:i+6], 16, 32)
			return rune(v)
		}
		var size int
		switch c := hex(i); {
		case utf16.IsSurrogate(c) && utf16.DecodeRune(c, hex(i+6)) != utf8.RuneError:
			size = 12
		case utf16.IsSurrogate(c):
			b.WriteRune(utf8.RuneError)
			i, invalid = i+6, true
			continue
		case raw[i] == '\\':
			size = 2
		default:
			var r rune
			if r, size = utf8.DecodeRuneInString(raw[i:]); r == utf8.RuneError && size == 1 {
				b.WriteRune(r)
				i, invalid = i+1, true
				continue
			}
		}
		b.WriteString(raw[i : i+size])
		i += size
	}
	return b.String(), invalid
}

// reader reads nodes from a document.
type reader struct {
	*json.Decoder
	document string
}

// parse returns the value of a document, or why it has none.
func parseDocument(document []byte) (*node, error) {
	text := strings.TrimPrefix(string(document), "\ufeff")
	r := reader{json.NewDecoder(strings.NewReader(text)), text}
	r.UseNumber()
	n, err := r.next()
	if err != nil {
		return nil, err
	}
	if _, err := r.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("goes on")
	}
	return n, nil
}

func (r reader) next() (*node, error) {
	start := int(r.InputOffset())
	token, err := r.Token()
	if err != nil {
		return nil, err
	}
	n := new(node)
	switch token := token.(type) {
	case json.Number:
		n.raw = token.String()
		return n, nil
	case nil:
		return &node{kind: 'n', raw: "null"}, nil
	case bool:
		n.raw = strconv.FormatBool(token)
		n.kind = n.raw[0]
		return n, nil
	case string:
		raw := r.document[start:r.InputOffset()]
		n.kind, n.raw = '"', raw[strings.IndexByte(raw, '"'):]
		var valid string
		valid, n.invalid = fixed(n.raw)
		return n, json.Unmarshal([]byte(valid), &n.text)
	case json.Delim:
		n.kind = byte(token)
	}
	start = int(r.InputOffset()) - 1
	for r.More() {
		var m member
		if n.kind == '{' {
			name, err := r.next()
			if err != nil {
				return nil, err
			}
			m.name, m.invalid, n.invalid = name.text, name.invalid, n.invalid || name.invalid
		}
		if m.value, err = r.next(); err != nil {
			return nil, err
		}
		n.members, n.invalid = append(n.members, m), n.invalid || m.value.invalid
	}
	_, err = r.Token()
	n.raw = r.document[start:r.InputOffset()]
	return n, err
}

// depth returns how many arrays and objects nest in n, itself included.
func (n *node) depth() int {
	if n.kind != '{' && n.kind != '[' {
		return 0
	}
	deepest := 0
	for _, m := range n.members {
		deepest = max(deepest, m.value.depth())
	}
	return deepest + 1
}

// compact returns the JSON of n without white space.
func (n *node) compact() string {
	var b strings.Builder
	for i := 0; i < len(n.raw); i++ {
		switch c := n.raw[i]; c {
		case ' ', '\t', '\r', '\n':
		case '"':
			end := i + 1
			for ; n.raw[end] != '"'; end++ {
				if n.raw[end] == '\\' {
					end++
				}
			}
			text, _ := fixed(n.raw[i : end+1])
			b.WriteString(text)
			i = end
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// whole returns the value of a JSON number if it is whole, else nil. For a number that is too large for any
// type it returns more than 2^2000.
func whole(literal string) *big.Int {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(literal), "e")
	places := 0
	if _, fraction, ok := strings.Cut(mantissa, "."); ok {
		places = len(fraction)
	}
	digits, _ := new(big.Int).SetString(strings.Replace(mantissa, ".", "", 1), 10)
	if digits.Sign() == 0 {
		return digits
	}
	e := new(big.Int)
	if exponent != "" {
		e.SetString(strings.TrimPrefix(exponent, "+"), 10)
	}
	e.Sub(e, big.NewInt(int64(places)))
	ten := big.NewInt(10)
	switch {
	case e.Sign() < 0 && e.CmpAbs(big.NewInt(int64(len(literal)))) > 0:
		return nil
	case e.Sign() < 0:
		quotient, rest := new(big.Int).QuoRem(digits, ten.Exp(ten, e.Neg(e), nil), new(big.Int))
		if rest.Sign() != 0 {
			return nil
		}
		return quotient
	default:
		if e.Cmp(big.NewInt(1000)) > 0 {
			e.SetInt64(1000)
		}
		return digits.Mul(digits, ten.Exp(ten, e, nil))
	}
}

// finding is a way in which a document differs, without how often.
type finding struct {
	message, member string
	foreign         bool
	kind            transcode.Kind
}

// account is how often a value differs in each way.
type account map[finding]int

func (a account) add(other account) {
	for f, n := range other {
		a[f] += n
	}
}

// misfit returns how badly a value fits: 2 if some of it is lost, 1 if it was converted.
func (a account) misfit() int {
	worst := 0
	for f := range a {
		switch f.kind {
		case transcode.Mismatch, transcode.TooDeep, transcode.NullEntry:
			worst = 2
		case transcode.Coerced:
			worst = max(worst, 1)
		case transcode.Unknown, transcode.Duplicate, transcode.InvalidText, transcode.Wrapped, transcode.NoBody:
		}
	}
	return worst
}

// slow is the state of one reading. It is passed by value: changes hold only for what is within.
type slow struct {
	drift account
	// around is how many arrays and objects are around the value, and lines how many lines of fields.
	around, lines int
	// exact is whether a double must be exactly the number.
	exact bool
}

func (s slow) within() slow {
	s.around++
	return s
}

func messageName(md protoreflect.MessageDescriptor) string {
	return strings.TrimPrefix(string(md.FullName()), string(md.ParentFile().Package())+".")
}

func (s slow) note(md protoreflect.MessageDescriptor, name string, kind transcode.Kind) {
	for len(name) > transcode.MaxMemberBytes || !utf8.ValidString(name) {
		name = name[:min(len(name)-1, transcode.MaxMemberBytes)]
	}
	s.drift[finding{messageName(md), name, kind == transcode.Unknown, kind}]++
}

// decodeSlowly reads a document into a message. The error is errSyntax if the document is not JSON, and
// transcode.ErrRoot if the message cannot be its outermost value.
func decodeSlowly(document []byte, md protoreflect.MessageDescriptor) (protoreflect.Message, account, error) {
	n, err := parseDocument(document)
	if err != nil {
		return nil, nil, errSyntax
	}
	m := dynamicpb.NewMessage(md)
	s := slow{drift: account{}}
	roots := planOf(md).roots
	switch {
	case n.kind == '{':
		s.answer(n, m)
	case len(roots) > 0 && (n.kind == 'n' || takes(roots, n)):
		s.member(n, roots, m)
	case n.kind == '[' && suitsLine(n, planOf(md).lines["data"], 0, 0):
		s.note(md, "*", transcode.Wrapped)
		s.member(n, planOf(md).lines["data"], m)
	case n.kind != 'n':
		return nil, nil, transcode.ErrRoot
	}
	return m, s.drift, nil
}

var errSyntax = errors.New("not JSON")

// plan is what is known of the fields of a message. It is kept because options take long to read.
type plan struct {
	fields []protoreflect.FieldDescriptor
	// lines are the fields of each member, and roots the root fields, the newest first.
	lines map[string][]protoreflect.FieldDescriptor
	roots []protoreflect.FieldDescriptor
}

var plans sync.Map

func planOf(md protoreflect.MessageDescriptor) *plan {
	if known, _ := plans.Load(md); known != nil {
		p, _ := known.(*plan)
		return p
	}
	var fields []protoreflect.FieldDescriptor
	for i := range md.Fields().Len() {
		fields = append(fields, md.Fields().Get(i))
	}
	p := newPlan(fields)
	plans.Store(md, p)
	return p
}

func newPlan(fields []protoreflect.FieldDescriptor) *plan {
	p := &plan{fields: fields, lines: map[string][]protoreflect.FieldDescriptor{}}
	for _, fd := range fields {
		name := transcode.WireName(fd)
		p.lines[name] = newestFirst(append(p.lines[name], fd))
	}
	for _, fd := range fields {
		for _, name := range transcode.FieldOptions(fd).GetOtherNames() {
			p.lines[name] = p.lines[transcode.WireName(fd)]
		}
		if transcode.FieldOptions(fd).GetRoot() {
			p.roots = newestFirst(append(p.roots, fd))
		}
	}
	return p
}

// without returns the plan of a message that lacks a member.
func (p *plan) without(name string) *plan {
	return newPlan(slices.DeleteFunc(slices.Clone(p.fields), func(fd protoreflect.FieldDescriptor) bool { return transcode.WireName(fd) == name }))
}

// newestFirst sorts the fields of one line.
func newestFirst(fields []protoreflect.FieldDescriptor) []protoreflect.FieldDescriptor {
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int {
		if old := transcode.FieldOptions(a).GetRetired(); old != transcode.FieldOptions(b).GetRetired() {
			if old {
				return 1
			}
			return -1
		}
		return int(b.Number() - a.Number())
	})
	return fields
}

func isMessage(fd protoreflect.FieldDescriptor) bool {
	return fd.Message() != nil && fd.Message().FullName().Parent() != "google.protobuf"
}

func is(fd protoreflect.FieldDescriptor, name protoreflect.Name) bool {
	return fd.Message() != nil && fd.Message().FullName() == "google.protobuf."+protoreflect.FullName(name)
}

// takes reports whether a message with these root fields may have n, which is no object, as its value.
func takes(roots []protoreflect.FieldDescriptor, n *node) bool {
	return slices.ContainsFunc(roots, func(fd protoreflect.FieldDescriptor) bool {
		switch scalar := n.kind != '{' && n.kind != '['; {
		case n.kind == '{' || n.kind == 'n':
			return false
		case fd.IsList(), is(fd, "ListValue"):
			return n.kind == '['
		case is(fd, "Value"):
			return true
		default:
			return scalar
		}
	})
}

// singleRoot reports whether the root field of a message, which has one, is a single value.
func singleRoot(md protoreflect.MessageDescriptor) bool {
	roots := planOf(md).roots
	return len(roots) > 0 && !slices.ContainsFunc(roots, protoreflect.FieldDescriptor.IsList)
}

// object reads the members of n that are in the plan into m.
func (s slow) object(n *node, m protoreflect.Message, p *plan) {
	seen := map[string]bool{}
	for _, member := range n.members {
		line := p.lines[member.name]
		if len(line) == 0 {
			s.note(m.Descriptor(), member.name, transcode.Unknown)
			continue
		}
		// It may be there under another name.
		name := transcode.WireName(line[0])
		if seen[name] {
			s.note(m.Descriptor(), name, transcode.Duplicate)
		} else {
			s.within().member(member.value, line, m)
		}
		seen[name] = true
	}
}

// mayBe reports whether n is of a JSON type that the table has for a field.
func mayBe(n *node, fd protoreflect.FieldDescriptor) bool {
	switch {
	case fd.IsList(), is(fd, "ListValue"):
		return n.kind == '['
	case fd.IsMap(), is(fd, "Struct"):
		return n.kind == '{'
	case is(fd, "Value"):
		return true
	case isMessage(fd):
		return n.kind == '{' || takes(planOf(fd.Message()).roots, n)
	case fd.Kind() == protoreflect.BoolKind:
		return n.kind == '"' || n.kind == 't' || n.kind == 'f'
	case fd.Kind() == protoreflect.StringKind:
		return n.kind != '{' && n.kind != '[' && n.kind != 'n'
	default:
		return n.kind == '"' || n.kind == 0
	}
}

// member reads n, the value of a member or of a whole message, into the fields of its line.
func (s slow) member(n *node, line []protoreflect.FieldDescriptor, m protoreflect.Message) {
	if len(line) == 1 {
		s.field(n, line[0], m)
		return
	}
	fit := slices.DeleteFunc(slices.Clone(line), func(fd protoreflect.FieldDescriptor) bool { return !mayBe(n, fd) })
	switch {
	case len(fit) == 0 && n.kind == 'n':
	case len(fit) == 0:
		s.note(m.Descriptor(), transcode.WireName(line[0]), transcode.Mismatch)
	case len(fit) == 1 || s.lines == 3:
		s.field(n, fit[0], m)
	default:
		var best account
		for i, fd := range fit {
			one := s
			one.lines++
			one.exact = s.exact || i > 0
			one.drift = account{}
			scratch := m.New()
			one.field(n, fd, scratch)
			if i > 0 && (one.drift.misfit() == 2 || isMessage(fd) && !fd.IsList() && !fd.IsMap() && isBlank(scratch, fd) && (n.kind != '{' || len(n.members) > 0)) {
				continue
			}
			if scratch.Has(fd) {
				m.Set(fd, scratch.Get(fd))
			}
			if best == nil || one.drift.misfit() < best.misfit() {
				best = one.drift
			}
		}
		s.drift.add(best)
	}
}

func isBlank(m protoreflect.Message, fd protoreflect.FieldDescriptor) bool {
	return m.Has(fd) && proto.Size(m.Get(fd).Message().Interface()) == 0
}

// field reads n into one field.
func (s slow) field(n *node, fd protoreflect.FieldDescriptor, m protoreflect.Message) {
	name := transcode.WireName(fd)
	switch {
	case n.kind == 'n' && (!is(fd, "Value") || fd.IsList() || fd.IsMap()):
	case fd.IsList() && n.kind == '[', fd.IsMap() && n.kind == '{':
		if s.around == transcode.MaxDepth {
			s.note(m.Descriptor(), name, transcode.TooDeep)
			return
		}
		for _, element := range n.members {
			of := fd
			if fd.IsMap() {
				of = fd.MapValue()
				if element.invalid {
					s.note(m.Descriptor(), transcode.WireName(fd), transcode.InvalidText)
				}
			}
			v, ok := s.within().element(element.value, of, m.Descriptor(), transcode.WireName(fd), fd.IsMap())
			switch {
			case !ok:
			case fd.IsList():
				m.Mutable(fd).List().Append(v)
			default:
				m.Mutable(fd).Map().Set(protoreflect.ValueOfString(element.name).MapKey(), v)
			}
		}
	case fd.IsList(), fd.IsMap():
		s.note(m.Descriptor(), name, transcode.Mismatch)
	default:
		if v, ok := s.value(n, fd, m.Descriptor(), name); ok {
			m.Set(fd, v)
		}
	}
}

// element reads an element of a list or map, and reports whether there is one.
func (s slow) element(n *node, fd protoreflect.FieldDescriptor, owner protoreflect.MessageDescriptor, name string, mapped bool) (protoreflect.Value, bool) {
	keeps := isMessage(fd) && singleRoot(fd.Message())
	switch {
	case keeps && n.kind != '{':
		m := dynamicpb.NewMessage(fd.Message())
		s.member(n, planOf(fd.Message()).roots, m)
		return protoreflect.ValueOfMessage(m), true
	case keeps:
		v, ok := s.value(n, fd, owner, name)
		if !ok {
			v = protoreflect.ValueOfMessage(dynamicpb.NewMessage(fd.Message()))
		}
		return v, true
	case n.kind == 'n' && !is(fd, "Value"):
		s.note(owner, name, transcode.NullEntry)
		return protoreflect.Value{}, false
	case mapped && fd.Kind() == protoreflect.StringKind && (n.kind == '{' || n.kind == '['):
		s.note(owner, name, transcode.Coerced)
		if n.invalid {
			s.note(owner, name, transcode.InvalidText)
		}
		return protoreflect.ValueOfString(n.compact()), true
	default:
		return s.value(n, fd, owner, name)
	}
}

// value reads n as one value of the type of fd, and reports whether there is one.
func (s slow) value(n *node, fd protoreflect.FieldDescriptor, owner protoreflect.MessageDescriptor, name string) (v protoreflect.Value, ok bool) {
	drop := func(kind transcode.Kind) (protoreflect.Value, bool) {
		s.note(owner, name, kind)
		return protoreflect.Value{}, false
	}
	switch {
	case isMessage(fd):
		m := dynamicpb.NewMessage(fd.Message())
		switch {
		case n.kind == '{' && s.around == transcode.MaxDepth:
			return drop(transcode.TooDeep)
		case n.kind == '{':
			s.object(n, m, planOf(fd.Message()))
		case takes(planOf(fd.Message()).roots, n):
			s.member(n, planOf(fd.Message()).roots, m)
		default:
			return drop(transcode.Mismatch)
		}
		return protoreflect.ValueOfMessage(m), true
	case fd.Message() != nil:
		switch {
		case !mayBe(n, single{fd}):
			return drop(transcode.Mismatch)
		case n.depth() > min(transcode.MaxValueDepth, (transcode.MaxDepth-s.around)/3):
			return drop(transcode.TooDeep)
		}
		m := dynamicpb.NewMessage(fd.Message())
		s.free(n, m, owner, name)
		return protoreflect.ValueOfMessage(m), true
	}
	coerced := true
	switch fd.Kind() {
	case protoreflect.StringKind:
		switch n.kind {
		case '"':
			if n.invalid {
				s.note(owner, name, transcode.InvalidText)
			}
			v, coerced = protoreflect.ValueOfString(n.text), false
		case 0, 't', 'f':
			v = protoreflect.ValueOfString(n.raw)
		}
	case protoreflect.BoolKind:
		switch {
		case n.kind == 't', n.kind == 'f':
			v, coerced = protoreflect.ValueOfBool(n.kind == 't'), false
		case n.kind == '"' && (n.text == "true" || n.text == "false"):
			v = protoreflect.ValueOfBool(n.text == "true")
		}
	default:
		literal := n.raw
		if coerced = n.kind == '"'; coerced {
			literal = n.text
		} else if n.kind != 0 {
			return drop(transcode.Mismatch)
		}
		if coerced && (literal == "" || literal[0] != '-' && (literal[0] < '0' || literal[0] > '9') || !json.Valid([]byte(literal)) || strings.TrimSpace(literal) != literal) {
			return drop(transcode.Mismatch)
		}
		exactly := whole(literal)
		if fd.Kind() == protoreflect.Int64Kind {
			if exactly != nil && exactly.IsInt64() && (!coerced || exactly.String() == literal) {
				v = protoreflect.ValueOfInt64(exactly.Int64())
			}
			break
		}
		f, err := strconv.ParseFloat(literal, 64)
		if err == nil && !(s.exact && isInexact(exactly, f)) {
			v = protoreflect.ValueOfFloat64(f)
		}
	}
	if !v.IsValid() {
		return drop(transcode.Mismatch)
	}
	if coerced {
		s.note(owner, name, transcode.Coerced)
	}
	return v, true
}

// single is a field read as if it were neither list nor map.
type single struct{ protoreflect.FieldDescriptor }

func (single) IsList() bool { return false }
func (single) IsMap() bool  { return false }

// isInexact reports whether a double differs from the whole number that it stands for.
func isInexact(exactly *big.Int, f float64) bool {
	if exactly == nil {
		return false
	}
	back, _ := big.NewFloat(f).Int(nil)
	return back.Cmp(exactly) != 0
}

// free reads n into m, a Value, Struct or ListValue.
func (s slow) free(n *node, m protoreflect.Message, owner protoreflect.MessageDescriptor, name string) {
	field := func(name protoreflect.Name) protoreflect.FieldDescriptor { return m.Descriptor().Fields().ByName(name) }
	nested := func(n *node, in protoreflect.Message) protoreflect.Value {
		s.free(n, in, owner, name)
		return protoreflect.ValueOfMessage(in)
	}
	switch m.Descriptor().Name() {
	case "Struct":
		entries := m.Mutable(field("fields")).Map()
		for _, member := range n.members {
			if member.invalid {
				s.note(owner, name, transcode.InvalidText)
			}
			entries.Set(protoreflect.ValueOfString(member.name).MapKey(), nested(member.value, entries.NewValue().Message()))
		}
		return
	case "ListValue":
		elements := m.Mutable(field("values")).List()
		for _, member := range n.members {
			elements.Append(nested(member.value, elements.NewElement().Message()))
		}
		return
	}
	switch n.kind {
	case '{':
		m.Set(field("struct_value"), nested(n, m.NewField(field("struct_value")).Message()))
	case '[':
		m.Set(field("list_value"), nested(n, m.NewField(field("list_value")).Message()))
	case '"':
		if n.invalid {
			s.note(owner, name, transcode.InvalidText)
		}
		m.Set(field("string_value"), protoreflect.ValueOfString(n.text))
	case 't', 'f':
		m.Set(field("bool_value"), protoreflect.ValueOfBool(n.kind == 't'))
	case 'n':
		m.Set(field("null_value"), protoreflect.ValueOfEnum(0))
	default:
		if f, err := strconv.ParseFloat(n.raw, 64); err == nil && !isInexact(whole(n.raw), f) {
			m.Set(field("number_value"), protoreflect.ValueOfFloat64(f))
			return
		}
		s.note(owner, name, transcode.Coerced)
		m.Set(field("string_value"), protoreflect.ValueOfString(n.raw))
	}
}

// knows reports whether something of n is known to the message of the plan. around is how many arrays and
// objects are around n, and lines how many lines of fields.
func knows(n *node, p *plan, around, lines int) bool {
	if n.kind != '{' {
		return suitsLine(n, p.roots, around, lines)
	}
	return slices.ContainsFunc(n.members, func(m member) bool {
		line := p.lines[m.name]
		switch {
		case len(line) == 0 || m.value.kind == 'n':
			return false
		case m.name != "data":
			return true
		case m.value.kind == '[':
			return slices.ContainsFunc(line, func(fd protoreflect.FieldDescriptor) bool { return mayBe(m.value, fd) })
		default:
			return suitsLine(m.value, line, around+1, lines)
		}
	})
}

func suitsLine(n *node, line []protoreflect.FieldDescriptor, around, lines int) bool {
	if len(line) > 1 {
		lines++
	}
	for _, fd := range line {
		if suits(n, fd, around, lines) {
			return true
		}
		if lines > 3 && mayBe(n, fd) {
			break
		}
	}
	return false
}

// suits reports whether a field takes n, and something of it is known.
func suits(n *node, fd protoreflect.FieldDescriptor, around, lines int) bool {
	switch {
	case n.kind == 'n' || around >= transcode.MaxDepth || !mayBe(n, fd):
		return false
	case fd.IsList():
		return len(n.members) == 0 || slices.ContainsFunc(n.members, func(element member) bool { return suits(element.value, single{fd}, around+1, lines) })
	case fd.IsMap() || !isMessage(fd):
		return true
	default:
		return knows(n, planOf(fd.Message()), around, lines)
	}
}

// answer reads n, the outermost object, wrapped or bare.
func (s slow) answer(n *node, m protoreflect.Message) {
	p := planOf(m.Descriptor())
	var data protoreflect.FieldDescriptor // the field that holds what the answer is about
	for _, fd := range p.lines["data"] {
		if data == nil && isMessage(fd) && !fd.IsList() && !fd.IsMap() {
			data = fd
		}
	}
	var inner *node // the first member data
	for _, member := range slices.Backward(n.members) {
		if member.name == "data" {
			inner = member.value
		}
	}
	switch {
	case data != nil && bothForms(data, p):
		s.both(n, inner, data, m)
	case knows(n, p, 0, 0):
		s.object(n, m, p)
	case inner != nil && knows(inner, p, 0, 0):
		s.note(m.Descriptor(), "*", transcode.Wrapped)
		if inner.kind == '{' {
			s.within().object(inner, m, p)
		} else {
			s.within().member(inner, p.roots, m)
		}
	case data != nil && knows(n, planOf(data.Message()), 0, 0):
		s.note(m.Descriptor(), "*", transcode.Wrapped)
		content := m.NewField(data).Message()
		s.object(n, content, planOf(data.Message()))
		m.Set(data, protoreflect.ValueOfMessage(content))
	default:
		s.object(n, m, p)
	}
}

// both reads n into a message that has the fields of both forms.
func (s slow) both(n, inner *node, data protoreflect.FieldDescriptor, m protoreflect.Message) {
	p, content := planOf(m.Descriptor()), planOf(data.Message())
	bare := p.without("data")
	silent := s
	silent.drift = account{}
	bareIsOld := !isDeprecated(p.lines["data"][0])
	isWrapped := inner != nil && inner.kind == '{' && (knows(inner, bare, 0, 0) || knows(inner, content, 0, 0))
	isBare := knows(n, bare, 0, 0) || knows(n, content, 0, 0)
	switch {
	case isWrapped && !isBare:
		if !bareIsOld {
			s.note(m.Descriptor(), "*", transcode.Wrapped)
		}
		s.object(n, m, p)
		silent.within().object(inner, m, bare)
	case isBare && !isWrapped:
		ofBare, ofData := s, silent
		if bareIsOld {
			s.note(m.Descriptor(), "*", transcode.Wrapped)
			ofBare, ofData = silent, s
		}
		ofBare.object(n, m, bare)
		v := m.NewField(data).Message()
		ofData.object(n, v, content)
		m.Set(data, protoreflect.ValueOfMessage(v))
	default:
		s.object(n, m, p)
	}
}

// bothForms reports whether a message has the fields of a wrapped answer and of a bare one: the newest fields
// of one form are all deprecated, and some members are the same as in the wrapped message.
func bothForms(data protoreflect.FieldDescriptor, p *plan) bool {
	common := false
	for name, line := range p.without("data").lines {
		if isDeprecated(line[0]) == isDeprecated(p.lines["data"][0]) {
			return false
		}
		common = common || len(planOf(data.Message()).lines[name]) > 0
	}
	return common
}

func isDeprecated(fd protoreflect.FieldDescriptor) bool {
	options, ok := fd.Options().(*descriptorpb.FieldOptions)
	return ok && options.GetDeprecated()
}
