package transcode_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"

	"samsara.internal/gateway/internal/testproto"
	"samsara.internal/gateway/internal/transcode"
)

func TestDecoder_foreign(t *testing.T) {
	t.Parallel()
	file := testproto.Compile(t, listings)
	for _, test := range []struct {
		message, json string
		want          bool
	}{
		{"Asset", `{"zzz":1}`, true},
		{"Asset", "\ufeff { \"zzz\" : {\"id\":1} , \"y\":[] }", true},
		{"Asset", `{"data":{"zzz":1}}`, true},
		{"Asset", `{"zzz":1,"id":null}`, true},
		{"Asset", `{"zzz":1,"id":"1"}`, false},
		{"Asset", `{"zzz":1,"\u0069d":{}}`, false},
		{"Asset", `{ }`, false},
		{"Asset", `null`, false},
		{"Wrapped", `{"data":1}`, true},
		{"Wrapped", `{"data":[{"id":"1"}]}`, true},
		{"Wrapped", `{"data":null,"zzz":1}`, true},
		{"Wrapped", `{"data":{"zzz":1}}`, true},
		{"Wrapped", `{"zzz":1,"data":{"zzz":1,"name":""}}`, false},
		{"Paged", `{"data":{"zzz":1}}`, true},
		{"Paged", `{"data":{"zzz":1},"cursor":"c"}`, false},
		{"Listed", `{"id":"1"}`, true},
		{"Listed", `{"data":{"id":"1"}}`, true},
		{"Listed", `{"data":[]}`, false},
		{"Listed", `{"data":[{"zzz":1}]}`, false},
		{"Array", `{"zzz":1}`, true},
		{"Array", `["zzz"]`, false},
		{"Deep", `{"data":{"list":[{"zzz":1}]}}`, false},
		{"BareNow", `{"tags":null,"zzz":1}`, true},
		{"BareNow", `{"data":{"zzz":1}}`, true},
		{"BareNow", `{"data":{"tags":[1]}}`, false},
		{"BareNow", `{"zzz":null}`, true},
		{"Empty", `{"zzz":null}`, true},
	} {
		md := file.Messages().ByName(protoreflect.Name(test.message))
		if got := decoder(t, md).Foreign([]byte(test.json)); got != test.want {
			t.Errorf("%s: %s is foreign: %t, want %t", test.message, test.json, got, test.want)
		}
	}
}

// Only a message that is empty, or has only an empty data, counts as empty.
func TestDecoder_isEmpty(t *testing.T) {
	t.Parallel()
	file := testproto.Compile(t, listings)
	for _, test := range []struct {
		message, json string
		want          bool
	}{
		{"Wrapped", `{}`, true},
		{"Wrapped", `{"data":{}}`, true},
		{"Wrapped", `{"data":null}`, true},
		{"Wrapped", `{"data":{"zzz":1}}`, true},
		{"Wrapped", `{"data":{"id":""}}`, false},
		{"Paged", `{"cursor":""}`, false},
		{"Paged", `{"cursor":"","data":{}}`, false},
		{"Far", `{"data":{}}`, true},
		{"Far", `{"flag":false}`, false},
		{"Listed", `{"data":[]}`, true},
		{"Listed", `{"data":[{}]}`, false},
		{"WrappedNow", `{"data":{"zzz":1}}`, true},
		{"WrappedNow", `{"id":"","data":{}}`, false},
	} {
		d := decoder(t, file.Messages().ByName(protoreflect.Name(test.message)))
		wire, err := d.Append(nil, []byte(test.json), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.IsEmpty(wire); got != test.want {
			t.Errorf("%s: %s is read as %x, which is empty: %t, want %t", test.message, test.json, wire, got, test.want)
		}
	}
}

func TestNames_ofAnObject(t *testing.T) {
	t.Parallel()
	for document, want := range map[string][]string{
		"\ufeff { \"a\" : [{\"b\":1}] , \"\\u0063\":null,\"\xff\":0,\"a\":\"d\" }":        {"a", "c", "\ufffd", "a"},
		`{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `,"b":1}`: {"a", "b"},
		`{}`: nil, `[{"a":1}]`: nil, `"a"`: nil, `null`: nil,
	} {
		if diff := cmp.Diff(want, slices.Collect(transcode.Names([]byte(document)))); diff != "" {
			t.Errorf("names of %.60s (-want +got):\n%s", document, diff)
		}
	}
	for name := range transcode.Names([]byte(`{"a":1,"b":2}`)) {
		if name != "a" {
			t.Errorf("the iteration goes on with %s", name)
		}
		break
	}
}

// Only the drift of the records that are sent is told, in the order of the message.
func TestDrift_first(t *testing.T) {
	t.Parallel()
	file := testproto.Compile(t, listings)
	for _, test := range []struct {
		message string
		path    []string
		json    string
		first   []int // findings in the first records
	}{
		{"Listed", []string{"data"}, `{"zzz":1,"data":[{"zzz":1,"yyy":[{}]},null,{"name":5},{},3,{"zzz":1}],"cursor":1}`, []int{2, 4, 6, 6, 8}},
		{"Listed", []string{"data"}, `[{"zzz":1},{"id":"1"},{"zzz":1}]`, []int{1, 2, 2, 3}},
		{"Deep", []string{"data", "list"}, `{"data":{"list":[{"zzz":1},{"zzz":1}],"zzz":1},"zzz":1}`, []int{2, 3, 4}},
		{"ListedOtherwise", []string{"data"}, `{"data":[{"zzz":1},{"zzz":1}]}`, []int{0, 1, 2}},
		{"Listed", nil, `{"data":[{"zzz":1},{"zzz":1}]}`, []int{2, 2, 2}},
		{"Deep", []string{"data", "zzz"}, `{"data":{"list":[{"zzz":1}]}}`, []int{1, 1}},
		{"Asset", []string{"name", "list"}, `{"zzz":1}`, []int{1, 1}},
	} {
		d := decoder(t, file.Messages().ByName(protoreflect.Name(test.message)))
		d.SetRecords(test.path...)
		var drift transcode.Drift
		drift.ByRecord()
		for range 2 {
			drift.Reset()
			if _, err := d.Append(nil, []byte(test.json), &drift); err != nil {
				t.Fatal(err)
			}
			before := fmt.Sprint(drift.Findings())
			for records, want := range test.first {
				first, got := drift.First(int64(records)), 0
				for _, f := range first.Findings() {
					got += f.Count
					if f.Count < 1 {
						t.Errorf("%s: a finding that is not there: %v", test.json, f)
					}
				}
				if got != want {
					t.Errorf("%s: in the first %d records %v, want %d", test.json, records, first.Findings(), want)
				}
			}
			if after := fmt.Sprint(drift.Findings()); after != before {
				t.Errorf("%s: findings %s, then %s", test.json, before, after)
			}
		}
	}
}

// A Drift does not tell records apart unless it is asked to.
func TestDrift_firstOfAll(t *testing.T) {
	t.Parallel()
	d := decoder(t, testproto.Message(t, listings, "Listed"))
	d.SetRecords("data")
	document := []byte(`{"data":[` + strings.Repeat(`{"zzz":1,"yyy":1},`, 5000) + `{}]}`)
	var drift transcode.Drift
	if _, err := d.Append(nil, document, &drift); err != nil {
		t.Fatal(err)
	}
	count := func(d transcode.Drift) (n int) {
		for _, f := range d.Findings() {
			n += f.Count
		}
		return n
	}
	if got := count(drift.First(1)); got != 10_000 {
		t.Errorf("%d found, want all", got)
	}
	drift.Reset()
	drift.ByRecord()
	if _, err := d.Append(nil, document, &drift); err != nil {
		t.Fatal(err)
	}
	// It tells 4,096 apart.
	if got := count(drift.First(1)); got != 10_000-4094 {
		t.Errorf("%d found in the first record, want its 2 and those that are not told apart", got)
	}
}

func TestDecoder_absent(t *testing.T) {
	t.Parallel()
	var drift transcode.Drift
	decoder(t, testproto.Message(t, wrappings, "Wrapped")).Absent(&drift)
	want := []transcode.Finding{{Message: "Wrapped", Member: "*", Kind: transcode.NoBody, Count: 1}}
	if diff := cmp.Diff(want, drift.Findings()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if got := transcode.NoBody.String(); got != "no_body" {
		t.Errorf("the kind is %q, want no_body", got)
	}
}
