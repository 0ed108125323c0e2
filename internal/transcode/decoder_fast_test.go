package transcode_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"samsara.internal/gateway/internal/testproto"
	"samsara.internal/gateway/internal/transcode"
)

// These tests go to the edges of what the decoder reads by words and by guesses. The rules of reading are
// tested in decoder_test.go.

// vehicleMembers are members of Vehicle, and one that it does not have.
func vehicleMembers() []string {
	return []string{
		`"id":"a"`, `"odometerMeters":12`, `"speed":1.5`, `"active":true`, `"gps":{"longitude":2,"latitude":1,"address":"x"}`,
		`"tags":["t"]`, `"path":[{"latitude":1,"longitude":2},{"longitude":2,"latitude":1},{"address":"y"}]`,
		`"externalIds":{"k":"v"}`, `"EquipmentID":"e"`, `"unheardOf":[1]`, `"verdict":{"text":"ok"}`,
	}
}

func TestDecoder_memberOrder(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, fleet, "Vehicle")
	learned := decoder(t, md)
	members := vehicleMembers()
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		random.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		some := members[:random.IntN(len(members)+1)]
		document := "{" + strings.Join(some, ",") + "}"
		for range 2 { // by another order, and by its own
			var drift transcode.Drift
			got := decoded(t, learned, md, document, &drift)
			want := decoded(t, decoder(t, md), md, document, nil)
			if !bytes.Equal(canonical(t, got), canonical(t, want)) {
				t.Fatalf("%s is %v, want %v", document, got, want)
			}
			if n := len(drift.Findings()); n > 1 || n == 1 && drift.Findings()[0] != found(transcode.Unknown, "unheardOf") {
				t.Fatalf("findings of %s = %v, want none but unheardOf", document, drift.Findings())
			}
		}
	}
}

func TestDecoder_concurrent(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, fleet, "Vehicle")
	d := decoder(t, md)
	want := decoded(t, d, md, "{"+strings.Join(vehicleMembers(), ",")+"}", nil)
	var readers sync.WaitGroup
	for reader := range uint64(8) {
		readers.Go(func() {
			members := vehicleMembers()
			random := rand.New(rand.NewPCG(reader, 3))
			for range 100 {
				random.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
				got := decoded(t, d, md, "{"+strings.Join(members, ",")+"}", nil)
				if !bytes.Equal(canonical(t, got), canonical(t, want)) {
					t.Errorf("%v is %v, want %v", members, got, want)
				}
			}
		})
	}
	readers.Wait()
}

func TestDecoder_namesOfEveryLength(t *testing.T) {
	t.Parallel()
	for length := 1; length <= 40; length++ {
		name := strings.Repeat("n", length)
		md := testproto.Message(t, `syntax = "proto3"; package samsara_gateway.test.v1; message M { optional int64 `+name+` = 1; }`, "M")
		d := decoder(t, md)
		for at := range length {
			other := name[:at] + "x" + name[at+1:]
			var drift transcode.Drift
			got := decoded(t, d, md, `{"`+other+`":1,"`+name+`x":2,"`+name[1:]+`":3,"`+name+`":4}`, &drift)
			if value := got.Get(md.Fields().Get(0)).Int(); value != 4 {
				t.Errorf("%s = %d, want 4", name, value)
			}
			if len(drift.Findings()) != 3 {
				t.Errorf("findings beside %s = %v, want three unknown members", name, drift.Findings())
			}
		}
	}
}

func TestDecoder_escapedNames(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, `
		syntax = "proto3";
		package samsara_gateway.test.v1;
		import "samsara_gateway/api/v1/annotations.proto";
		message M { optional int64 a = 1 [(samsara_gateway.api.v1.field) = {name: "a\"\\\n:é"}]; }`, "M")
	d := decoder(t, md)
	for _, name := range []string{`a\"\\\n:é`, `\u0061\u0022\u005c\u000a\u003a\u00e9`} {
		if got := decoded(t, d, md, `{"`+name+`":7}`, nil).Get(md.Fields().Get(0)).Int(); got != 7 {
			t.Errorf("%s = %d, want 7", name, got)
		}
	}
	if _, err := d.Append(nil, []byte("{\"a\"\\\n:é\":7}"), nil); err == nil {
		t.Error("the name with nothing escaped is taken for JSON")
	}
}

func TestDecoder_textsOfEveryLength(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, fleet, "Vehicle")
	d := decoder(t, md)
	verdict := testproto.Message(t, fleet, "Verdict")
	alone := decoder(t, verdict)
	for length := range 300 {
		plain := strings.Repeat("0123456789", 30)[:length]
		for _, at := range []int{0, length / 2, length} {
			for _, special := range []struct{ json, text string }{
				{"", ""},
				{`\"`, `"`},
				{`\u00e9`, "é"},
				{"é", "é"},
				{"\x7f", "\x7f"},
				{" ", " "},
				{"\xff", "\ufffd"},
			} {
				json, want := plain[:at]+special.json+plain[at:], plain[:at]+special.text+plain[at:]
				m := decoded(t, d, md, `{"id":"`+json+`","tags":["`+json+`"],"externalIds":{"`+json+`":"`+json+`"},"extra":"`+json+`"}`, nil)
				get := func(name protoreflect.Name) protoreflect.Value { return m.Get(md.Fields().ByName(name)) }
				value := get("extra").Message()
				for where, got := range map[string]string{
					"field":   get("id").String(),
					"element": get("tags").List().Get(0).String(),
					"entry":   get("external_ids").Map().Get(protoreflect.ValueOfString(want).MapKey()).String(),
					"Value":   value.Get(value.Descriptor().Fields().ByName("string_value")).String(),
					"root":    decoded(t, alone, verdict, `"`+json+`"`, nil).Get(verdict.Fields().Get(0)).String(),
				} {
					if got != want {
						t.Fatalf("%s of %q = %q, want %q", where, json, got, want)
					}
				}
			}
		}
	}
}

func TestDecoder_numbersOfEveryLength(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, fleet, "Vehicle")
	d := decoder(t, md)
	const digits = "9182736455463728190"
	for whole := 1; whole <= len(digits); whole++ {
		for places := range len(digits) {
			for _, sign := range []string{"", "-"} {
				literal := sign + digits[:whole]
				if places > 0 {
					literal += "." + digits[:places]
				}
				want, err := strconv.ParseFloat(literal, 64)
				if err != nil {
					t.Fatal(err)
				}
				// At the end of the document as well as far from it, and before every delimiter.
				for _, document := range []string{`{"speed":%s}`, `{"speed":%s ,"id":"far from the end of the document"}`, "{\"speed\":%s\n,\"axles\":[%[1]s,%[1]s ,%[1]s]}"} {
					m := decoded(t, d, md, fmt.Sprintf(strings.ReplaceAll(document, "%s", "%[1]s"), literal), nil)
					if got := m.Get(md.Fields().ByName("speed")).Float(); got != want {
						t.Errorf("%s = %v, want %v", literal, got, want)
					}
					axles := m.Get(md.Fields().ByName("axles")).List()
					for i := range axles.Len() {
						if got := axles.Get(i).Float(); got != want {
							t.Errorf("%s as an element = %v, want %v", literal, got, want)
						}
					}
				}
				if places > 0 || whole == len(digits) {
					continue
				}
				if got := decoded(t, d, md, `{"odometerMeters":`+literal+`,"id":"far from the end of the document"}`, nil).Get(md.Fields().ByName("odometer_meters")).Int(); strconv.FormatInt(got, 10) != literal {
					t.Errorf("%s = %d", literal, got)
				}
			}
		}
	}
}
