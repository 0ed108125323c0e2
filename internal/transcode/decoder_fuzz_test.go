package transcode_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/dynamicpb"

	"samsara.internal/gateway/internal/testproto"
	"samsara.internal/gateway/internal/transcode"
)

// withoutMark cuts the byte order mark that a document may start with.
func withoutMark(document []byte) []byte { return bytes.TrimPrefix(document, []byte("\ufeff")) }

// isJSON returns the judgement of encoding/json, except for the byte order mark that the package allows. It
// has none on documents that nest more than 10,000 levels.
func isJSON(document []byte) (valid, judged bool) {
	judged = bytes.Count(document, []byte("["))+bytes.Count(document, []byte("{")) <= 10_000
	return json.Valid(withoutMark(document)), judged
}

// fitsRoot reports whether the outermost value is of a type that the message may have.
func fitsRoot(document []byte, message string) bool {
	switch bytes.TrimLeft(withoutMark(document), " \t\r\n")[0] {
	case '{', 'n':
		return true
	case '[':
		return message == "Assets" || message == "Anything" || message == "Sequence"
	default:
		return message == "Verdict" || message == "Count" || message == "Anything"
	}
}

func addDocuments(f *testing.F, add func(document string)) {
	f.Helper()
	for document := range malformed() {
		add(document)
	}
	for _, document := range []string{
		`{"id":"a","odometerMeters":"5","speed":1e3,"active":"true","gps":{"latitude":1.5},"path":[{},null,3]}`,
		`{"id":1,"id":2,"\u0069d":3,"externalIds":{"a":"b","a":null},"places":{"x":{}},"totals":{"y":"1"}}`,
		`{"extra":{"a":[1,null,9007199254740993,{"b":1e400}]},"extras":[null,[]],"settings":{},"row":[[]],"rows":[[],null]}`,
		`{"matrix":[[1,2],[3]],"matrices":[[[1]],{"rows":[[2]],"note":"n"}],"verdict":"x","verdicts":["a",{"text":"b"}]}`,
		`[{"id":"a","towed":{"tags":["b"]}},null,5]`, `"text"`, `12`, `-0.5e+3`, `true`, `null`, "\ufeff{}",
		"{\"id\":\"\xff\xc3\",\"\xff\":\"\\ud800\\udc00\\ud800\",\"x\":[\"\\u00e9\xed\xa0\x80\"]}",
		`{"far":"` + strings.Repeat("x", 300) + `","counts":[` + strings.Repeat("1,", 200) + `1.5]}`,
		`{"x":` + nested("[", "", "]", 99) + `}`, `{"x":` + nested("[", "", "]", 100) + `}`,
		`{"extra":` + nested("[", "", "]", 30) + `}`, `{"extra":` + nested(`{"a":[`, "", "]}", 16) + `,"settings":` + nested(`{"":`, "0", "}", 31) + `}`,
		`{"odometerMeters":9223372036854775808,"speed":1e400,"bare":-9223372036854775808,"counts":["1",1e3,0.1e1]}`,
	} {
		add(document)
	}
}

func FuzzDecode(f *testing.F) {
	messages := []string{"Vehicle", "Assets", "Verdict", "Count", "Anything", "Sequence", "Empty"}
	addDocuments(f, func(document string) {
		for i := range messages {
			f.Add(uint8(i), []byte(document))
		}
	})
	file := testproto.Compile(f, fleet)
	decoders := map[string]*transcode.Decoder{}
	for _, message := range messages {
		decoders[message] = decoder(f, file.Messages().ByName(protoreflect.Name(message)))
	}

	f.Fuzz(func(t *testing.T, index uint8, document []byte) {
		valid, judged := isJSON(document)
		if !judged {
			return
		}
		message := messages[int(index)%len(messages)]
		given := bytes.Clone(document)
		var drift transcode.Drift
		wire, err := decoders[message].Append([]byte("kept"), document, &drift)
		if !bytes.Equal(document, given) {
			t.Fatalf("the document was changed")
		}
		var syntax *transcode.SyntaxError
		switch {
		case !valid:
			if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(document) {
				t.Fatalf("error = %v, want a SyntaxError within the document", err)
			}
		case !fitsRoot(document, message):
			if !errors.Is(err, transcode.ErrRoot) {
				t.Fatalf("error = %v, want ErrRoot", err)
			}
		case err != nil:
			t.Fatalf("error = %v, want nil", err)
		}
		if err != nil {
			if string(wire) != "kept" {
				t.Fatalf("dst = %q, want it as it came", wire)
			}
			return
		}
		rest, kept := bytes.CutPrefix(wire, []byte("kept"))
		if !kept {
			t.Fatalf("what was before the message is now %q", wire[:4])
		}
		m := dynamicpb.NewMessage(file.Messages().ByName(protoreflect.Name(message)))
		if err := proto.Unmarshal(rest, m); err != nil { // which checks the UTF-8 as well
			t.Fatalf("wire form does not parse: %v", err)
		}
		for _, finding := range drift.Findings() {
			if finding.Message == "" || finding.Kind.String() == "none" || finding.Count < 1 || len(finding.Member) > 64 || !utf8.ValidString(finding.Member) {
				t.Errorf("finding = %+v, want it within its bounds", finding)
			}
		}
		again, err := decoders[message].Append(nil, document, nil)
		if err != nil || !bytes.Equal(again, rest) {
			t.Errorf("without drift: %x and %v, want %x", again, err, rest)
		}
		checkAgainstProtojson(t, document, m, &drift)
	})
}

// checkAgainstProtojson makes sure that protojson, if it reads a document without drift, reads the same from
// it.
func checkAgainstProtojson(t *testing.T, document []byte, got proto.Message, drift *transcode.Drift) {
	t.Helper()
	want := got.ProtoReflect().New().Interface()
	if len(drift.Findings()) > 0 || protojson.Unmarshal(document, want) != nil {
		return
	}
	if !bytes.Equal(canonical(t, want), canonical(t, got)) {
		t.Errorf("message (-protojson +got):\n%s", cmp.Diff(want, got, protocmp.Transform()))
	}
}

func FuzzValid(f *testing.F) {
	addDocuments(f, func(document string) { f.Add([]byte(document)) })
	f.Fuzz(func(t *testing.T, document []byte) {
		valid, judged := isJSON(document)
		if !judged {
			return
		}
		err := transcode.Valid(document)
		if want := valid && utf8.Valid(document); (err == nil) != want {
			t.Fatalf("Valid = %v, want valid: %t", err, want)
		}
		var syntax *transcode.SyntaxError
		if err != nil && (!errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(document)) {
			t.Fatalf("Valid = %v, want a SyntaxError within the document", err)
		}
	})
}

func FuzzNumber(f *testing.F) {
	for _, literal := range []string{
		"0", "-0", "1", "-1", "1.0", "1.5", "1e3", "1E-3", "100e-2", "0.1e1", "9007199254740992", "9007199254740993", "9007199254740993.0",
		"9223372036854775807", "-9223372036854775808", "9223372036854775808", "18446744073709551616", "9.223372036854775807e18",
		"1e22", "1e23", "123456789012345678901234567890e-20", "1208925819614629174706176", "1208925819614629174706177", "0.3", "1e308", "1e309", "1e-400",
		"1.00000000000000000000000000000000001", "36028797018963968e3", "1152921504606846976e22",
	} {
		f.Add(literal)
	}
	md := testproto.Message(f, fleet, "Vehicle")
	d := decoder(f, md)
	f.Fuzz(func(t *testing.T, literal string) {
		var n json.Number
		if json.Unmarshal([]byte(literal), &n) != nil || literal != n.String() {
			return
		}
		if _, exponent, found := strings.Cut(strings.ToLower(literal), "e"); found && len(strings.TrimLeft(exponent, "+-0")) > 3 {
			return // too much for the exact arithmetic below
		}
		exact, ok := new(big.Rat).SetString(literal)
		if !ok {
			t.Fatalf("%s is no number to math/big", literal)
		}
		got := decoded(t, d, md, `{"odometerMeters":`+literal+`,"speed":`+literal+`,"extra":`+literal+`}`, nil)

		field := md.Fields().ByName("odometer_meters")
		if want := exact.IsInt() && exact.Num().IsInt64(); got.Has(field) != want {
			t.Errorf("int64 of %s is set: %t, want %t", literal, got.Has(field), want)
		} else if want && got.Get(field).Int() != exact.Num().Int64() {
			t.Errorf("int64 of %s = %d, want %d", literal, got.Get(field).Int(), exact.Num().Int64())
		}
		field = md.Fields().ByName("speed")
		nearest, err := strconv.ParseFloat(literal, 64)
		if got.Has(field) != (err == nil) {
			t.Errorf("double of %s is set: %t, want %t", literal, got.Has(field), err == nil)
		} else if err == nil && got.Get(field).Float() != nearest {
			t.Errorf("double of %s = %v, want %v", literal, got.Get(field).Float(), nearest)
		}
		value := got.Get(md.Fields().ByName("extra")).Message()
		kinds := value.Descriptor().Fields()
		if holds := err == nil && (!exact.IsInt() || exact.Cmp(new(big.Rat).SetFloat64(nearest)) == 0); value.Has(kinds.ByName("number_value")) != holds {
			t.Errorf("Value of %s = %v, want a number: %t", literal, value, holds)
		} else if text := value.Get(kinds.ByName("string_value")).String(); !holds && text != literal {
			t.Errorf("Value of %s = %q, want its text", literal, text)
		}
	})
}

func TestDecoder_sameAsProtojson(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, fleet, "Vehicle")
	d := decoder(t, md)
	for seed := range uint64(200) {
		g := generator{rand.New(rand.NewPCG(seed, 0))}
		document := []byte(g.message(md, 0))
		want := dynamicpb.NewMessage(md)
		if err := protojson.Unmarshal(document, want); err != nil {
			t.Fatalf("protojson refuses %s: %v", document, err)
		}
		var drift transcode.Drift
		got := decoded(t, d, md, string(document), &drift)
		if !bytes.Equal(canonical(t, want), canonical(t, got)) {
			t.Errorf("message (-protojson +got) of %s:\n%s", document, cmp.Diff(want, got, protocmp.Transform()))
		}
		if len(drift.Findings()) > 0 {
			t.Errorf("findings of %s = %v, want none", document, drift.Findings())
		}
	}
}

// generator writes random documents without drift, and without what protojson refuses.
type generator struct{ *rand.Rand }

func (g generator) pick(values ...string) string { return values[g.IntN(len(values))] }

// join writes some of the first parts, five at most, between brackets, with white space here and there.
func (g generator) join(open, closing string, parts int, part func(i int) string) string {
	var b strings.Builder
	b.WriteString(open)
	for i := range g.IntN(min(parts, 5) + 1) {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(g.pick("", "", " ", "\n\t"))
		b.WriteString(part(i))
		b.WriteString(g.pick("", "", "\r "))
	}
	b.WriteString(closing)
	return b.String()
}

func (g generator) message(md protoreflect.MessageDescriptor, depth int) string {
	var fields []protoreflect.FieldDescriptor
	for _, i := range g.Perm(md.Fields().Len()) {
		if fd := md.Fields().Get(i); !transcode.FieldOptions(fd).GetRetired() {
			fields = append(fields, fd)
		}
	}
	return g.join("{", "}", len(fields), func(i int) string {
		fd := fields[i]
		return `"` + fd.JSONName() + `"` + g.pick(":", " : ") + g.field(fd, depth)
	})
}

func (g generator) field(fd protoreflect.FieldDescriptor, depth int) string {
	switch {
	case fd.Name() != "extras" && g.IntN(10) == 0: // null for a list of Values, protojson refuses
		return "null"
	case fd.IsMap():
		return g.join("{", "}", 5, func(i int) string { return g.key(i) + ":" + g.value(fd.MapValue(), depth+1) })
	case fd.IsList():
		return g.join("[", "]", 5, func(int) string { return g.value(fd, depth+1) })
	default:
		return g.value(fd, depth+1)
	}
}

// key writes a name that is equal to no other.
func (g generator) key(i int) string {
	return `"` + strconv.Itoa(i) + g.pick("", `\u00e9`, "東京") + `"`
}

func (g generator) value(fd protoreflect.FieldDescriptor, depth int) string {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return g.text()
	case protoreflect.Int64Kind:
		return g.pick("0", "-0", "1e3", "12.0", strconv.FormatInt(g.Int64()-g.Int64(), 10))
	case protoreflect.DoubleKind:
		return g.number()
	case protoreflect.BoolKind:
		return g.pick("true", "false")
	default:
		switch name := fd.Message().Name(); {
		case name == "Value":
			return g.any(depth)
		case name == "Struct":
			return g.object(depth)
		case name == "ListValue":
			return g.array(depth)
		case depth > 6:
			return "{}"
		default:
			return g.message(fd.Message(), depth)
		}
	}
}

func (g generator) text() string {
	return `"` + g.pick("", "a", `\"\\\/\b\f\n\r\t`, "é東😀", `\ud83d\ude00\u0000`, strings.Repeat("long ", 40)) + g.pick("", "z", "0123456789") + `"`
}

func (g generator) number() string {
	return g.pick("0", "-0", "-1", "1e22", "5E-324", "0.1", strconv.FormatFloat(g.NormFloat64(), 'g', -1, 64), strconv.FormatFloat(g.Float64()*1e6, 'f', 6, 64))
}

func (g generator) any(depth int) string {
	switch {
	case depth > 12 || g.IntN(2) == 0:
		return g.pick("null", "true", "false", g.number(), g.text())
	case g.IntN(2) == 0:
		return g.object(depth)
	default:
		return g.array(depth)
	}
}

func (g generator) object(depth int) string {
	return g.join("{", "}", 5, func(i int) string { return g.key(i) + ":" + g.any(depth+1) })
}

func (g generator) array(depth int) string {
	return g.join("[", "]", 5, func(int) string { return g.any(depth + 1) })
}
