package transcode_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"samsara.internal/gateway/internal/testproto"
	"samsara.internal/gateway/internal/transcode"
)

// twin is a message with both of its decoders.
type twin struct {
	md   protoreflect.MessageDescriptor
	fast *transcode.Decoder
}

// twins are all messages that can be decoded: first the messages of the tests, own of them and in a fixed
// order, and then those of the surface.
func twins(t testing.TB) (all []twin, own int) {
	t.Helper()
	var compiler transcode.Compiler
	seen := map[protoreflect.FullName]bool{}
	add := func(md protoreflect.MessageDescriptor) error {
		if seen[md.FullName()] || md.IsMapEntry() {
			return nil
		}
		seen[md.FullName()] = true
		d, err := compiler.Decoder(md)
		if err == nil {
			all = append(all, twin{md, d})
		}
		return err
	}
	var addAll func(messages protoreflect.MessageDescriptors)
	addAll = func(messages protoreflect.MessageDescriptors) {
		for i := range messages.Len() {
			_ = add(messages.Get(i)) // Requests have fields that no answer has.
			addAll(messages.Get(i).Messages())
		}
	}
	for _, source := range []string{fleet, retyped, wrappings, corners, listings, renamed} { // Names may be the same in them.
		compiler = transcode.Compiler{}
		clear(seen)
		addAll(testproto.Compile(t, source).Messages())
	}
	own, compiler = len(all), transcode.Compiler{}
	for _, md := range responses() {
		if err := add(md); err != nil {
			t.Fatal(err)
		}
	}
	var files []protoreflect.FileDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(string(file.Package()), "samsara_gateway.") && file.Package() != "samsara_gateway.api.v1" {
			files = append(files, file)
		}
		return true
	})
	slices.SortFunc(files, func(a, b protoreflect.FileDescriptor) int { return strings.Compare(a.Path(), b.Path()) })
	for _, file := range files {
		addAll(file.Messages())
	}
	slices.SortFunc(all[own:], func(a, b twin) int { return strings.Compare(string(a.md.FullName()), string(b.md.FullName())) })
	return all, own
}

// corners has what the surface could have and other tests do not have.
const corners = `
	syntax = "proto3";
	package samsara_gateway.test.v1;
	import "google/protobuf/struct.proto";
	import "samsara_gateway/api/v1/annotations.proto";
	message Corners {
		repeated Free frees = 1;
		map<string, Free> keyed = 2;
		repeated Row rows = 3;
		map<string, Row> keyed_rows = 4;
		repeated Former formers = 5;
		map<string, Former> keyed_formers = 6;
		Free free = 7;
		Row row = 8;
		Former former = 9;
		Corners corners = 10;
		map<string, Corners> keyed_corners = 11;
		map<string, string> labels = 12 [(samsara_gateway.api.v1.field) = {retired: true}];
		Former labels_v2 = 13 [(samsara_gateway.api.v1.field) = {name: "labels"}];
		map<string, google.protobuf.Value> values = 14;
		map<string, string> texts = 15;
		repeated Object objects = 16;
		optional double height = 17 [(samsara_gateway.api.v1.field) = {retired: true}];
		google.protobuf.Value height_v2 = 18 [(samsara_gateway.api.v1.field) = {name: "height"}];
		repeated Corners list = 19 [(samsara_gateway.api.v1.field) = {retired: true}];
		map<string, Corners> list_v2 = 20 [(samsara_gateway.api.v1.field) = {name: "list"}];
	}
	message Free { google.protobuf.Value value = 1 [(samsara_gateway.api.v1.field) = {root: true}]; }
	message Row { google.protobuf.ListValue values = 1 [(samsara_gateway.api.v1.field) = {root: true}]; optional string note = 2; }
	message Object { google.protobuf.Struct data = 1; optional bool flag = 2; }
	message Former {
		optional int64 value = 1 [(samsara_gateway.api.v1.field) = {root: true, retired: true}];
		repeated double value_v2 = 2 [(samsara_gateway.api.v1.field) = {root: true, name: "value", retired: true}];
		google.protobuf.Value value_v3 = 3 [(samsara_gateway.api.v1.field) = {root: true, name: "value"}];
		optional string name = 4;
	}
	message Reply { Corners data = 1; repeated string data_v0 = 2 [(samsara_gateway.api.v1.field) = {name: "data", retired: true}]; }
	message Both {
		Corners data = 1;
		repeated Free frees = 2 [deprecated = true];
		Free free = 3 [deprecated = true];
		map<string, string> texts = 4 [deprecated = true];
	}
`

// compare decodes a document with both decoders, and returns what differs. The account and the error are the
// slow decoder's.
func (w twin) compare(document []byte) (difference string, account account, wantErr error) {
	var drift transcode.Drift
	wire, err := w.fast.Append(nil, document, &drift)
	want, account, wantErr := decodeSlowly(document, w.md)
	return w.difference(wire, err, &drift, want, account, wantErr), account, wantErr
}

func (w twin) difference(wire []byte, err error, drift *transcode.Drift, want protoreflect.Message, account account, wantErr error) string {
	var syntax *transcode.SyntaxError
	switch {
	case err == nil && wantErr == nil:
	case errors.Is(wantErr, transcode.ErrRoot) && errors.Is(err, transcode.ErrRoot), errors.Is(wantErr, errSyntax) && errors.As(err, &syntax):
		return ""
	default:
		return fmt.Sprintf("error %v, want %v", err, wantErr)
	}
	got := dynamicpb.NewMessage(w.md)
	if err := proto.Unmarshal(wire, got); err != nil {
		return fmt.Sprintf("wire form does not parse: %v", err)
	}
	if levels := levelsOf(got); levels > maxLevels-1 { // A stream adds one.
		return fmt.Sprintf("%d levels of messages", levels)
	}
	deterministic := proto.MarshalOptions{Deterministic: true}
	gotWire, gotErr := deterministic.Marshal(got)
	wantWire, wantErr := deterministic.Marshal(want.Interface())
	if err := errors.Join(gotErr, wantErr); err != nil {
		return err.Error()
	}
	if !bytes.Equal(gotWire, wantWire) {
		return fmt.Sprintf("message\n%s\nwant\n%s", prototext.Format(got), prototext.Format(want.Interface()))
	}
	return account.compare(drift)
}

// compare returns how the drift of the other decoder differs. That has only the number of the findings that
// it could not hold.
func (a account) compare(drift *transcode.Drift) string {
	rest := drift.Dropped()
	for _, f := range drift.Findings() {
		rest += f.Count
		if n := a[finding{f.Message, f.Member, f.Foreign, f.Kind}]; n != f.Count && drift.Dropped() == 0 || n < f.Count {
			return fmt.Sprintf("drift %v, want %v", drift.Findings(), a)
		}
	}
	for _, n := range a {
		rest -= n
	}
	if rest != 0 || len(drift.Findings()) != min(len(a), transcode.MaxFindings) {
		return fmt.Sprintf("drift %v and %d more, want %v", drift.Findings(), drift.Dropped(), a)
	}
	return ""
}

// scribe writes documents for messages: correct ones and, at some odds, incorrect ones.
type scribe struct {
	*rand.Rand
	bytes.Buffer
	// room is how many values it may still write.
	room int
	// odd is how many of 100 values are odd.
	odd int
	// deep is how often a message that may hold itself does so at first.
	deep int
}

func (s *scribe) one(of ...string) { s.WriteString(of[s.IntN(len(of))]) }

func (s *scribe) chance(percent int) bool { return s.IntN(100) < percent }

// document writes a document for a message.
func (s *scribe) document(md protoreflect.MessageDescriptor) []byte {
	s.Reset()
	s.room = 1 + s.IntN(40)
	s.odd = []int{0, 0, 5, 20, 60}[s.IntN(5)]
	s.deep = 0
	if s.chance(20) {
		s.deep = []int{5, 8, 20, 60, 91, 93, 94, 95, 96, 97}[s.IntN(10)]
	}
	if s.chance(2) {
		s.WriteString("\ufeff")
	}
	s.space()
	data := md.Fields().ByName("data")
	switch {
	case !s.chance(s.odd):
		s.message(md)
	case s.chance(30):
		s.WriteString(`{`)
		if s.chance(30) {
			s.WriteString(`"x":1,`)
		}
		s.WriteString(`"data":`)
		s.message(md)
		s.WriteString(`}`)
	case data != nil && data.IsList() && s.chance(50):
		s.field(data)
	case data != nil && isMessage(data) && !data.IsMap():
		s.message(data.Message())
	case s.chance(20):
		s.any(3)
	default:
		s.message(md)
	}
	s.space()
	document := bytes.Clone(s.Bytes())
	if s.chance(s.odd/3) && bytes.HasPrefix(document, []byte(`{"`)) { // What decides nothing, or otherwise.
		beside := []string{`"data":null,`, `"id":null,`, `"data":{},`, `"data":[],`, `"data":{"x":1},`, `"data":{"id":"1"},`, `"x":null,`}
		document = slices.Insert(document, 1, []byte(beside[s.IntN(len(beside))])...)
	}
	for len(document) > 0 && s.chance(s.odd/5) {
		at := s.IntN(len(document))
		switch s.IntN(4) {
		case 0:
			document = document[:at]
		case 1:
			document = slices.Delete(document, at, at+1)
		case 2:
			document = slices.Insert(document, at, `{}[],:"\0-eEtn .`[s.IntN(16)])
		default:
			document[at] = byte(s.Uint32())
		}
	}
	return document
}

func (s *scribe) space() {
	if s.chance(5) {
		s.one(" ", "\n", "\t\r ", "  ")
	}
}

// message writes an object, or another value that the message may be.
func (s *scribe) message(md protoreflect.MessageDescriptor) {
	p := planOf(md)
	if s.deep > 0 {
		if i := slices.IndexFunc(p.fields, func(fd protoreflect.FieldDescriptor) bool { return fd.Message() == md && !fd.IsList() }); i >= 0 {
			open := `{"` + transcode.WireName(p.fields[i]) + `":`
			levels := s.deep
			s.deep = 0
			s.WriteString(strings.Repeat(open, levels))
			s.message(md)
			s.WriteString(strings.Repeat("}", levels))
			return
		}
	}
	if len(p.roots) > 0 && s.chance(70) {
		s.field(p.roots[s.IntN(len(p.roots))])
		return
	}
	s.WriteByte('{')
	count := s.IntN(min(5, len(p.fields)+s.odd/20) + 1)
	first := s.IntN(len(p.fields) + 1)
	var last protoreflect.FieldDescriptor
	for i := range count {
		if s.room--; s.room < 0 {
			break
		}
		if i > 0 {
			s.WriteByte(',')
		}
		s.space()
		switch {
		case len(p.fields) == 0 || s.chance(s.odd/3):
			s.one(`"x"`, `"data"`, `"é"`, `"\u0064ata"`, `"`+strings.Repeat("long", 20)+`"`, "\"\xff\xfe\"", `"\ud800"`, `""`, `"`+strings.Repeat("x", 63)+`é"`, `"id"`, `"pagination"`)
			s.WriteByte(':')
			s.any(2 + s.IntN(3))
			continue
		case last != nil && s.chance(s.odd/4): // Once more.
		default:
			last = p.fields[(first+i)%len(p.fields)]
		}
		name := transcode.WireName(last)
		if others := transcode.FieldOptions(last).GetOtherNames(); len(others) > 0 && s.chance(50) {
			name = others[s.IntN(len(others))]
		}
		name = strconv.Quote(name)
		if s.chance(s.odd / 10) {
			name = fmt.Sprintf(`"\u%04x%s`, name[1], name[2:])
		}
		s.WriteString(name)
		s.space()
		s.WriteByte(':')
		s.space()
		s.field(last)
	}
	s.space()
	s.WriteByte('}')
}

func (s *scribe) field(fd protoreflect.FieldDescriptor) {
	if s.chance(s.odd) {
		s.any(3)
		return
	}
	switch {
	case fd.IsMap():
		s.list('{', '}', func() {
			s.one(`"a"`, `"b"`, `"c"`, `"\u00e9"`, `"samsara.vin"`)
			s.WriteByte(':')
			s.value(fd.MapValue())
		})
	case fd.IsList():
		s.list('[', ']', func() { s.value(fd) })
	default:
		s.value(fd)
	}
}

func (s *scribe) list(open, end byte, each func()) {
	s.WriteByte(open)
	for i := range s.IntN(4) {
		if i > 0 {
			s.WriteByte(',')
		}
		s.space()
		each()
		s.space()
	}
	s.WriteByte(end)
}

func (s *scribe) value(fd protoreflect.FieldDescriptor) {
	if s.room--; s.room < 0 {
		s.WriteString("null")
		return
	}
	switch {
	case s.chance(s.odd):
		s.any(3)
	case isMessage(fd):
		s.message(fd.Message())
	case is(fd, "Struct"):
		s.list('{', '}', func() {
			s.one(`"a"`, `"b"`)
			s.WriteByte(':')
			s.any(2)
		})
	case is(fd, "ListValue"):
		s.list('[', ']', func() { s.any(2) })
	case fd.Message() != nil:
		s.any(4)
	case fd.Kind() == protoreflect.StringKind:
		s.text()
	case fd.Kind() == protoreflect.BoolKind:
		s.one("true", "false")
	default:
		s.number()
	}
}

func (s *scribe) text() {
	switch s.IntN(10) {
	case 0:
		s.one(`"281474976710657"`, `"-7"`, `"007"`, `"1e3"`, `"1.0"`, `"true"`, `"false"`, `"null"`, `" 1"`, `"-0"`, `"9223372036854775808"`, `"1e999"`, `"\u0031"`)
	case 1:
		s.one("\"\xff\"", `"\ud800"`, `"\udc00\ud800"`, `"\ud83d\ude00"`, "\"\xc3\"", "\"é\xed\xa0\x80\"", `"\ufffd"`, "\"\ufffd\"", `"\\ud800"`, `"\ud83dx"`)
	case 2:
		s.one(`"\"\\\/\b\f\n\r\t\u0000"`, `"é東😀"`, `"`+strings.Repeat("long text ", 30)+`"`, `""`)
	default:
		s.one(`"a"`, `"Truck 7"`, `"2026-01-02T03:04:05Z"`, `"vehicle"`, `"0123456789abcdef"`)
	}
}

func (s *scribe) number() {
	switch s.IntN(6) {
	case 0:
		s.one("0", "-0", "1e3", "12.0", "1.5", "-1.25E+2", "100e-2", "0.1e1", "1e22", "1e23", "9007199254740993", "-9223372036854775808", "9223372036854775807",
			"9223372036854775808", "1e400", "-1e400", "1e-400", "1e99999999999", "1e-99999999999999999999", "0e999999999999", "123456789012345678901234567890", "12345678901234567890e-5",
			"18014398509481985.0", "0.30000000000000000000000000004", "1"+strings.Repeat("0", 60), "1"+strings.Repeat("0", 60)+"e-60", "4.9e-324", "01", "-", "1.", ".5", "+1", "1e", "NaN")
	case 1:
		s.WriteString(strconv.FormatInt(s.Int64()-s.Int64(), 10))
	case 2:
		s.WriteString(strconv.FormatFloat(s.NormFloat64()*1e3, 'f', s.IntN(12), 64))
	default:
		s.WriteString(strconv.Itoa(s.IntN(100_000)))
	}
}

// any writes a value of any type, which nests a few levels or very many.
func (s *scribe) any(levels int) {
	s.room--
	switch k := s.IntN(24); {
	case k < 2:
		s.WriteString("null")
	case k < 6:
		s.one("true", "false")
	case k < 11:
		s.text()
	case k < 15:
		s.number()
	case k == 15:
		depth := []int{28, 29, 30, 31, 32, 33, 63, 64, 65, 66, 95, 96, 97, 98, 99, 127, 128, 129, 300}[s.IntN(19)]
		open, end := "[", "]"
		if s.chance(50) {
			open, end = `{"data":`, "}"
		}
		s.WriteString(strings.Repeat(open, depth))
		s.one("1", "null", "{}", "[]", `"\ud800"`, `9007199254740993`)
		if s.chance(5) {
			depth--
		}
		s.WriteString(strings.Repeat(end, depth))
	case levels <= 0 || s.room < 0:
		s.one("[]", "{}", "1", `"a"`)
	case k < 20:
		s.list('[', ']', func() { s.any(levels - 1) })
	default:
		s.list('{', '}', func() {
			s.one(`"a"`, `"b"`, `"id"`, `"name"`, `"data"`, `"value"`, "\"\xff\"", `"\ud800"`)
			s.WriteByte(':')
			s.any(levels - 1)
		})
	}
}

// TestDecoder_differential reads documents by both decoders. The environment says how many.
func TestDecoder_differential(t *testing.T) {
	t.Parallel()
	count, from := 10_000, 0
	if text := os.Getenv("SAMSARA_TEST_DIFFERENTIAL"); text != "" { // how many, and from which one on
		if n, err := fmt.Sscanf(text+":0", "%d:%d", &count, &from); n < 2 {
			t.Fatal(err)
		}
	}
	all, own := twins(t)
	start := time.Now()
	failures := 0
	kinds := map[string]int{}
	for n := from; n < from+count; n++ {
		s := scribe{Rand: rand.New(rand.NewPCG(uint64(n), 0))}
		w := all[own+n%(len(all)-own)]
		if n%5 == 0 {
			w = all[n/5%own]
		}
		document := s.document(w.md)
		difference, account, err := w.compare(document)
		for f := range account {
			kinds[f.kind.String()]++
		}
		switch {
		case err != nil:
			kinds[err.Error()]++
		case len(account) == 0:
			kinds["no drift"]++
		}
		if difference != "" {
			t.Errorf("%d: %s of %.2000q: %.2000s", n, w.md.FullName(), document, difference)
			if failures++; failures == 20 {
				t.FailNow()
			}
		}
		if done := n - from + 1; done%1_000_000 == 0 {
			t.Logf("%d executions in %s", done, time.Since(start).Round(time.Second))
		}
	}
	t.Logf("%d executions over %d messages in %s: %v", count, len(all), time.Since(start), kinds)
	for _, what := range []string{"no drift", "unknown", "coerced", "mismatch", "duplicate", "invalid_text", "too_deep", "null_entry", "wrapped", errSyntax.Error(), transcode.ErrRoot.Error()} {
		if kinds[what] < count/5000 {
			t.Errorf("%s occurred %d times", what, kinds[what])
		}
	}
}

func FuzzDecode_differential(f *testing.F) {
	all, own := twins(f)
	for n := range uint64(len(all)) {
		if n >= uint64(own) && n%25 > 0 { // The index is mutated as well.
			continue
		}
		s := scribe{Rand: rand.New(rand.NewPCG(n, 1))}
		f.Add(uint16(n), s.document(all[n].md))
	}
	// In what form an answer is.
	for _, seed := range [][2]string{
		{"Wrapped", `{"data":null,"id":"1"}`},
		{"Asset", `{"id":null,"data":{"id":"1"}}`},
		{"BareNow", `{"data":null,"id":"1"}`},
		{"WrappedNow", `{"id":null,"data":{"id":"1"}}`},
		{"BareNow", `{"data":{"x":1},"id":"1"}`},
		{"Both", `{"data":null,"frees":[1]}`},
		{"Listed", `[{"x":1},{"id":"1"}]`},
		{"Listed", `{"data":{"data":[{"id":"1"}],"cursor":"c"}}`},
		{"ListedOtherwise", `["x",{"id":"1"}]`},
		{"Numbers", `[null,"1"]`},
		{"Anyhow", `[null]`},
		{"Held", `[{"id":"1"}]`},
		{"Assets", `{"data":[{"id":"1"}]}`},
		{"Twice", `{"data":[]}`},
		{"Ring", strings.Repeat(`{"data":`, 100) + `{"id":"1"}` + strings.Repeat("}", 100)},
		{"Reply", `{"data":{"corners":null},"corners":{}}`},
		{"Reply", `["x"]`},
		{"Former", `{"data":[1,null]}`},
		{"Renamed", `{"ExternalIds":{"a":1},"externalIds":{"b":"2"},"Size":"5"}`},
	} {
		for i, w := range all[:own] {
			if string(w.md.Name()) == seed[0] {
				f.Add(uint16(i), []byte(seed[1]))
			}
		}
	}
	f.Fuzz(func(t *testing.T, index uint16, document []byte) {
		w := all[int(index)%len(all)]
		if difference, _, _ := w.compare(document); difference != "" {
			t.Errorf("%s: %s", w.md.FullName(), difference)
		}
	})
}
