package transcode_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"

	"samsara.internal/gateway/internal/testproto"
	"samsara.internal/gateway/internal/transcode"
)

func TestDecoder_foreign(t *testing.T) {
	t.Parallel()
	file := testproto.Compile(t, wrappings)
	for _, test := range []struct {
		message, json string
		want          bool
	}{
		{"Asset", `{"zzz":1}`, true},
		{"Asset", "\ufeff { \"zzz\" : {\"id\":1} , \"y\":[] }", true},
		{"Asset", `{"data":{"zzz":1}}`, true},
		{"Asset", `{"zzz":1,"id":null}`, false},
		{"Asset", `{"zzz":1,"\u0069d":{}}`, false},
		{"Asset", `{ }`, false},
		{"Asset", `null`, false},
		{"Wrapped", `{"data":1}`, false},
		{"Listed", `{"id":"1"}`, true},
		{"Array", `{"zzz":1}`, true},
		{"Array", `["zzz"]`, false},
		{"BareNow", `{"tags":null}`, false},
		{"BareNow", `{"data":null}`, false},
		{"BareNow", `{"zzz":null}`, true},
		{"Empty", `{"zzz":null}`, true},
	} {
		md := file.Messages().ByName(protoreflect.Name(test.message))
		if got := decoder(t, md).Foreign([]byte(test.json)); got != test.want {
			t.Errorf("%s: %s is foreign: %t, want %t", test.message, test.json, got, test.want)
		}
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
