package transcode_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/dynamicpb"

	"samsara.internal/gateway/internal/testproto"
	"samsara.internal/gateway/internal/transcode"
)

// retyped has lines of fields of every pair of types that a text, a number or an object becomes.
const retyped = `
	syntax = "proto3";
	package samsara_gateway.test.v1;
	import "google/protobuf/struct.proto";
	import "samsara_gateway/api/v1/annotations.proto";
	message Thing {
		optional string name = 1;
		optional string phone = 2 [(samsara_gateway.api.v1.field) = {retired: true}];
		Phone phone_v2 = 3 [(samsara_gateway.api.v1.field) = {name: "phone"}];
		optional string size = 4 [(samsara_gateway.api.v1.field) = {retired: true}];
		optional int64 size_v2 = 5 [(samsara_gateway.api.v1.field) = {name: "size"}];
		optional string tags = 6 [(samsara_gateway.api.v1.field) = {retired: true}];
		repeated string tags_v2 = 7 [(samsara_gateway.api.v1.field) = {name: "tags"}];
		repeated int64 counts = 8 [(samsara_gateway.api.v1.field) = {retired: true}];
		repeated Count counts_v2 = 9 [(samsara_gateway.api.v1.field) = {name: "counts"}];
		optional double level = 10 [(samsara_gateway.api.v1.field) = {retired: true}];
		optional int64 level_v2 = 11 [(samsara_gateway.api.v1.field) = {name: "level"}];
		google.protobuf.Value extra = 12 [(samsara_gateway.api.v1.field) = {retired: true}];
		Phone extra_v2 = 13 [(samsara_gateway.api.v1.field) = {name: "extra"}];
		// A type that came back: the newest has the smaller number.
		optional bool flag = 14;
		optional string flag_v2 = 15 [(samsara_gateway.api.v1.field) = {name: "flag", retired: true}];
		optional string three = 16 [(samsara_gateway.api.v1.field) = {retired: true}];
		optional int64 three_v2 = 17 [(samsara_gateway.api.v1.field) = {name: "three", retired: true}];
		repeated string three_v3 = 18 [(samsara_gateway.api.v1.field) = {name: "three"}];
		Thing inner = 19 [(samsara_gateway.api.v1.field) = {name: "thing"}];
		Other inner_v2 = 20 [(samsara_gateway.api.v1.field) = {name: "thing", retired: true}];
		Text text = 21;
	}
	message Other {
		Thing a = 1 [(samsara_gateway.api.v1.field) = {name: "thing"}];
		Other b = 2 [(samsara_gateway.api.v1.field) = {name: "thing", retired: true}];
		optional string name = 3;
	}
	message Phone {
		optional string number = 1;
	}
	message Count {
		optional int64 value = 1 [(samsara_gateway.api.v1.field) = {root: true}];
	}
	// An array at one time, a text at another, and now an object.
	message Text {
		repeated string value = 1 [(samsara_gateway.api.v1.field) = {root: true, retired: true}];
		optional string value_v2 = 2 [(samsara_gateway.api.v1.field) = {name: "value", root: true, retired: true}];
		optional string text = 3;
	}`

func thing(kind transcode.Kind, member string) []transcode.Finding {
	return []transcode.Finding{{Message: "Thing", Member: member, Kind: kind, Count: 1}}
}

func TestDecoder_lineOfFields(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, retyped, "Thing")
	d := decoder(t, md)
	for name, test := range map[string]struct {
		json, want string
		find       []transcode.Finding
	}{
		"text for an object":                       {json: `{"phone":"5"}`, want: `phone: "5"`},
		"a number for an object":                   {json: `{"phone":5}`, want: `phone: "5"`, find: thing(transcode.Coerced, "phone")},
		"an object":                                {json: `{"phone":{"number":"5"}}`, want: `phone_v2 {number: "5"}`},
		"an array for text and object":             {json: `{"phone":["5"]}`, find: thing(transcode.Mismatch, "phone")},
		"null":                                     {json: `{"phone":null,"size":null,"tags":null}`},
		"an integer":                               {json: `{"size":12}`, want: `size: "12" size_v2: 12`},
		"an integer as text":                       {json: `{"size":"12"}`, want: `size: "12" size_v2: 12`},
		"zeros before an integer":                  {json: `{"size":"012"}`, want: `size: "012"`},
		"text for an integer":                      {json: `{"size":"big"}`, want: `size: "big"`},
		"invalid text":                             {json: "{\"size\":\"\xff\"}", want: `size: "\ufffd"`, find: thing(transcode.InvalidText, "size")},
		"a bool for an integer and text":           {json: `{"size":true}`, want: `size: "true"`, find: thing(transcode.Coerced, "size")},
		"an array":                                 {json: `{"tags":["a","b"]}`, want: `tags_v2: ["a", "b"]`},
		"text for an array":                        {json: `{"tags":"a,b"}`, want: `tags: "a,b"`},
		"entries that fit both":                    {json: `{"counts":[1,"2"]}`, want: `counts: [1, 2] counts_v2 {value: 1} counts_v2 {value: 2}`, find: []transcode.Finding{{Message: "Count", Member: "value", Kind: transcode.Coerced, Count: 1}}},
		"entries that fit the newest":              {json: `{"counts":[{"value":1},2]}`, want: `counts_v2 {value: 1} counts_v2 {value: 2}`},
		"an integer for an older double":           {json: `{"level":9007199254740992}`, want: `level: 9007199254740992 level_v2: 9007199254740992`},
		"an integer that a double does not hold":   {json: `{"level":9007199254740993}`, want: `level_v2: 9007199254740993`},
		"a double for an integer":                  {json: `{"level":1.5}`, want: `level: 1.5`},
		"any value":                                {json: `{"extra":[1]}`, want: `extra {list_value {values {number_value: 1}}}`},
		"any value, null":                          {json: `{"extra":null}`, want: `extra {null_value: NULL_VALUE}`},
		"an object for any value":                  {json: `{"extra":{"number":"5"}}`, want: `extra_v2 {number: "5"} extra {struct_value {fields {key: "number" value {string_value: "5"}}}}`},
		"an unknown member in what fits":           {json: `{"extra":{"x":1}}`, want: `extra_v2 {} extra {struct_value {fields {key: "x" value {number_value: 1}}}}`, find: []transcode.Finding{{Message: "Phone", Member: "x", Kind: transcode.Unknown, Foreign: true, Count: 1}}},
		"a type that came back":                    {json: `{"flag":true}`, want: `flag: true flag_v2: "true"`},
		"the type between":                         {json: `{"flag":"yes"}`, want: `flag_v2: "yes"`},
		"three, the first":                         {json: `{"three":"x"}`, want: `three: "x"`},
		"three, the second":                        {json: `{"three":1}`, want: `three: "1" three_v2: 1`},
		"three, the last":                          {json: `{"three":["x"]}`, want: `three_v3: "x"`},
		"a second member of the name":              {json: `{"size":1,"phone":"a","size":"x"}`, want: `size: "1" size_v2: 1 phone: "a"`, find: thing(transcode.Duplicate, "size")},
		"an object that an older message lacks":    {json: `{"thing":{"size":1}}`, want: `inner {size: "1" size_v2: 1}`},
		"an object that an older message has":      {json: `{"thing":{"name":"x","size":1}}`, want: `inner {name: "x" size: "1" size_v2: 1} inner_v2 {name: "x"}`},
		"an empty object":                          {json: `{"thing":{ }}`, want: `inner {} inner_v2 {}`},
		"roots: an array":                          {json: `{"text":["a"]}`, want: `text {value: "a"}`},
		"roots: a text":                            {json: `{"text":"a"}`, want: `text {value_v2: "a"}`},
		"roots: an object":                         {json: `{"text":{"text":"a"}}`, want: `text {text: "a"}`},
		"roots: an object with what was the array": {json: `{"text":{"value":["a"]}}`, want: `text {value: "a"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := dynamicpb.NewMessage(md)
			if err := prototext.Unmarshal([]byte(test.want), want); err != nil {
				t.Fatal(err)
			}
			var drift transcode.Drift
			got := decoded(t, d, md, test.json, &drift)
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.find, drift.Findings(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// Lines within lines take bounded time and room: here at most 3 to the power of maxLines times the document's
// length, and not 2 to the power of its depth.
func TestDecoder_linesWithinLines(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, retyped, "Thing")
	document := nested(`{"name":"x","thing":`, `{"name":"x"}`, "}", transcode.MaxDepth-1)
	var drift transcode.Drift
	wire, err := decoder(t, md).Append(nil, []byte(document), &drift)
	if err != nil {
		t.Fatal(err)
	}
	if most := 27 * len(document); len(wire) > most {
		t.Errorf("the message is %d bytes long, want %d at most", len(wire), most)
	}
	if len(drift.Findings()) != 0 {
		t.Errorf("findings = %v, want none", drift.Findings())
	}
	m := dynamicpb.NewMessage(md)
	if err := proto.Unmarshal(wire, m); err != nil {
		t.Fatal(err)
	}
	var newest protoreflect.Message = m
	depth := 0
	for fd := md.Fields().ByName("inner"); newest.Has(fd); depth++ {
		newest = newest.Get(fd).Message()
	}
	if depth != transcode.MaxDepth-1 {
		t.Errorf("the newest fields lead %d levels down, want %d", depth, transcode.MaxDepth-1)
	}
}

func TestEncoder_lineOfFields(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, retyped, "Thing")
	encoder := newEncoder(t, md)
	for name, test := range map[string]struct {
		text, want string
		paths      []string
	}{
		"the newest":                     {text: `phone_v2 {number: "5"} tags_v2: "a" size_v2: 1`, want: `{"phone":{"number":"5"},"size":1,"tags":["a"]}`},
		"the older ones":                 {text: `phone: "5" tags: "a" size: "1"`, want: `{"phone":"5","size":"1","tags":"a"}`},
		"an integer and its text":        {text: `size: "12" size_v2: 12`, want: `{"size":12}`},
		"an integer with an exponent":    {text: `size: "12e1" size_v2: 120`, want: `{"size":120}`},
		"an integer and another":         {text: `size: "12" size_v2: 13`, want: `size_v2: must not differ from size, which is the same member: set one of them`},
		"an integer and text":            {text: `size: "x" size_v2: 13`, want: `size_v2: must not differ from size, which is the same member: set one of them`},
		"lists that are equal":           {text: `counts: [1, 2] counts_v2 {value: 1} counts_v2 {value: 2}`, want: `{"counts":[1,2]}`},
		"lists that are not":             {text: `counts: [1, 2] counts_v2 {value: 1} counts_v2 {}`, want: `counts_v2: must not differ from counts, which is the same member: set one of them`},
		"lists of two lengths":           {text: `counts: [1, 2] counts_v2 {value: 1}`, want: `counts_v2: must not differ from counts, which is the same member: set one of them`},
		"an object and any value":        {text: `extra_v2 {number: "5"} extra {struct_value {fields {key: "number" value {string_value: "5"}}}}`, want: `{"extra":{"number":"5"}}`},
		"an object and null":             {text: `extra_v2 {} extra {null_value: NULL_VALUE}`, want: `extra_v2: must not differ from extra, which is the same member: set one of them`},
		"below":                          {text: `inner {inner {size: "1" size_v2: 2}}`, want: `inner.inner.size_v2: must not differ from size, which is the same member: set one of them`},
		"three, two of them equal":       {text: `three: "1" three_v2: 1`, want: `{"three":1}`},
		"three, one of them other":       {text: `three: "1" three_v2: 1 three_v3: "1"`, want: `three_v3: must not differ from three_v2, which is the same member: set one of them`},
		"a type that came back":          {text: `flag: true flag_v2: "true"`, want: `{"flag":true}`},
		"roots: unset":                   {text: `text {}`, want: `{"text":{}}`},
		"roots: an array":                {text: `text {value: "a"}`, want: `{"text":["a"]}`},
		"roots: a text":                  {text: `text {value_v2: "a"}`, want: `{"text":"a"}`},
		"roots: an object":               {text: `text {text: "a"}`, want: `{"text":{"text":"a"}}`},
		"roots: two":                     {text: `text {value: "a" value_v2: "a"}`, want: `text.value_v2: must not differ from value, which is the same member: set one of them`},
		"roots: one and another":         {text: `text {value: "a" text: "b"}`, want: `text.value: is the whole value, so that no other field can be sent with it`},
		"mask: the newest, unset":        {paths: []string{"tags_v2", "size_v2"}, text: `tags: "a"`, want: `{"size":null,"tags":[]}`},
		"mask: an older one, unset":      {paths: []string{"tags"}, want: `{"tags":null}`},
		"mask: an older one, set":        {paths: []string{"size"}, text: `size: "x" size_v2: 1`, want: `{"size":"x"}`},
		"mask: both, one set":            {paths: []string{"size", "size_v2"}, text: `size: "x"`, want: `{"size":"x"}`},
		"mask: both, that differ":        {paths: []string{"size", "size_v2"}, text: `size: "x" size_v2: 1`, want: `size_v2: must not differ from size, which is the same member: set one of them`},
		"mask: both, none set":           {paths: []string{"tags", "tags_v2"}, want: `{"tags":[]}`},
		"mask: below":                    {paths: []string{"phone_v2.number"}, text: `phone: "5"`, want: `{"phone":{"number":null}}`},
		"mask: JSON names":               {paths: []string{"phoneV2.number", "tagsV2", "inner.sizeV2"}, text: `phone_v2 {number: "5"}`, want: `{"phone":{"number":"5"},"tags":[],"thing":{"size":null}}`},
		"mask: below what was a root":    {paths: []string{"text.text"}, text: `text {text: "a"}`, want: `{"text":{"text":"a"}}`},
		"mask: what was a root, by name": {paths: []string{"text.value"}, text: `text {value: "a"}`, want: `{"text":["a"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mask, err := encoder.Mask(test.paths)
			if err != nil {
				t.Fatal(err)
			}
			got, err := encoder.Append(nil, parseText(t, md, test.text), mask)
			var refused *transcode.FieldError
			if errors.As(err, &refused) {
				got = []byte(refused.Error())
			}
			if string(got) != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// Each field of a line is written once, and not once for each line around it, which would be 2 to the power
// of the depth.
func TestEncoder_linesWithinLines(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, retyped, "Thing")
	const depth = 50
	plain, text := `name: "x"`, `inner {name: "x"} inner_v2 {name: "x"}`
	for range depth - 1 {
		text = "inner {" + text + "} inner_v2 {a {" + plain + "}}"
		plain = "inner {" + plain + "}"
	}
	got, err := newEncoder(t, md).Append(nil, parseText(t, md, text), nil)
	if want := nested(`{"thing":`, `{"name":"x"}`, "}", depth); err != nil || string(got) != want {
		t.Errorf("got %s and %v, want %s", got, err, want)
	}
}

// A proto name counts even if it is another field's JSON name too.
func TestMask_protoNameFirst(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, `
		syntax = "proto3";
		package samsara_gateway.test.v1;
		message M { optional string a_b = 1 [json_name = "other"]; optional string other = 2 [json_name = "aB"]; }`, "M")
	encoder := newEncoder(t, md)
	for path, want := range map[string]string{"other": `{"aB":null}`, "a_b": `{"other":null}`, "aB": `{"aB":null}`} {
		mask, err := encoder.Mask([]string{path})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := encoder.Append(nil, dynamicpb.NewMessage(md), mask); err != nil || string(got) != want {
			t.Errorf("%s: %s and %v, want %s", path, got, err, want)
		}
	}
}

// Looking for similar names costs far more than everything else that is done for a path.
func TestMask_manyWrongPaths(t *testing.T) {
	t.Parallel()
	_, err := newEncoder(t, testproto.Message(t, retyped, "Thing")).Mask(slices.Repeat([]string{"nam"}, transcode.MaxMaskPaths))
	if err == nil {
		t.Fatal("wrong paths were accepted")
	}
	wrong, told := strings.Count(err.Error(), `there is no "nam"`), strings.Count(err.Error(), `, but "name"`)
	if wrong != transcode.MaxMaskPaths || told != 10 {
		t.Errorf("%d paths are wrong, and the similar name is told of %d, want %d and 10", wrong, told, transcode.MaxMaskPaths)
	}
}

// wrappings has answers that are wrapped, bare, or both at different times.
const wrappings = `
	syntax = "proto3";
	package samsara_gateway.test.v1;
	import "google/protobuf/struct.proto";
	import "samsara_gateway/api/v1/annotations.proto";
	message Asset {
		optional string id = 1;
		optional string name = 2;
		repeated string tags = 3;
		optional string message = 4;
	}
	message Wrapped { Asset data = 1; }
	message Paged { Asset data = 1; optional string cursor = 2; }
	message Listed { repeated Asset data = 1; optional string cursor = 2; }
	message Array { repeated string value = 1 [(samsara_gateway.api.v1.field) = {root: true}]; }
	message WrappedNow {
		optional string id = 1 [deprecated = true];
		repeated string tags = 2 [deprecated = true];
		Asset data = 3;
	}
	message BareNow {
		Asset data = 1 [deprecated = true];
		optional string id = 2;
		repeated string tags = 3;
	}
	message BareOtherwise {
		Asset data = 1 [deprecated = true];
		optional string id = 2 [deprecated = true, (samsara_gateway.api.v1.field) = {retired: true}];
		optional int64 id_v2 = 3 [(samsara_gateway.api.v1.field) = {name: "id"}];
	}
	message Neither {
		Asset data = 1;
		optional string id = 2;
		optional string gone = 3 [deprecated = true];
	}
	message Empty {}`

// listings has more such answers, with lists and with data in data.
const listings = wrappings + `
	message ListedOtherwise {
		repeated string data = 1 [(samsara_gateway.api.v1.field) = {retired: true}];
		repeated Asset data_v2 = 2 [(samsara_gateway.api.v1.field) = {name: "data"}];
	}
	message Numbers { repeated int64 data = 1; }
	message Anyhow { google.protobuf.Value data = 1; }
	message Deep { Listing data = 1; }
	message Listing { repeated Asset list = 1; }
	message Twice { Listed data = 1; }
	message Assets { repeated Asset value = 1 [(samsara_gateway.api.v1.field) = {root: true}]; }
	message Held { Assets data = 1; }
	message Ring { Ring data = 1; optional string id = 2; }
	message Far { optional bool flag = 1; Asset data = 1000; }
`

func TestDecoder_wrappedOrBare(t *testing.T) {
	t.Parallel()
	file := testproto.Compile(t, listings)
	for name, test := range map[string]struct {
		message, json, want string
		find                string
	}{
		"wrapped as declared":                  {message: "Wrapped", json: `{"data":{"id":"1"}}`, want: `data {id: "1"}`},
		"bare though wrapped is declared":      {message: "Wrapped", json: `{"id":"1","zzz":2}`, want: `data {id: "1"}`, find: "Wrapped.*=wrapped Asset.zzz=unknown"},
		"the first member is unknown to both":  {message: "Wrapped", json: ` { "zzz" : {"data":[1]} , "id":"1"}`, want: `data {id: "1"}`, find: "Wrapped.*=wrapped Asset.zzz=unknown"},
		"a member of either":                   {message: "Wrapped", json: `{"id":"1","data":{"id":"2"}}`, want: `data {id: "2"}`, find: "Wrapped.id=unknown"},
		"nothing is known":                     {message: "Wrapped", json: `{"zzz":{"id":1}}`, find: "Wrapped.zzz=unknown"},
		"an escaped name":                      {message: "Wrapped", json: `{"\u0069d":"1"}`, want: `data {id: "1"}`, find: "Wrapped.*=wrapped"},
		"empty":                                {message: "Wrapped", json: `{}`},
		"bare, beside a cursor":                {message: "Paged", json: `{"id":"1"}`, want: `data {id: "1"}`, find: "Paged.*=wrapped"},
		"null decides nothing, wrapped":        {message: "Wrapped", json: `{"data":null,"id":"1"}`, want: `data {id: "1"}`, find: "Wrapped.*=wrapped Asset.data=unknown"},
		"null decides nothing, wrapped, last":  {message: "Wrapped", json: `{"id":"1","data":null}`, want: `data {id: "1"}`, find: "Wrapped.*=wrapped Asset.data=unknown"},
		"null decides nothing, bare":           {message: "Asset", json: `{"id":null,"data":{"id":"1"}}`, want: `id: "1"`, find: "Asset.*=wrapped"},
		"null decides nothing, bare, last":     {message: "Asset", json: `{"data":{"id":"1"},"id":null}`, want: `id: "1"`, find: "Asset.*=wrapped"},
		"null decides nothing, paged":          {message: "Paged", json: `{"cursor":null,"data":null,"id":"1"}`, want: `data {id: "1"}`, find: "Paged.*=wrapped Asset.cursor=unknown Asset.data=unknown"},
		"null decides nothing, both, wrapped":  {message: "WrappedNow", json: `{"data":null,"id":"1","name":"x"}`, want: `id: "1" data {id: "1" name: "x"}`, find: "WrappedNow.*=wrapped Asset.data=unknown"},
		"null decides nothing, both, bare":     {message: "BareNow", json: `{"data":null,"id":"1"}`, want: `id: "1" data {id: "1"}`, find: "BareNow.data=unknown"},
		"null decides nothing, both, inside":   {message: "BareNow", json: `{"id":null,"data":{"id":"1"}}`, want: `id: "1" data {id: "1"}`, find: "BareNow.*=wrapped"},
		"nothing but null":                     {message: "Wrapped", json: `{"id":null}`, find: "Wrapped.id=unknown"},
		"null in data decides nothing":         {message: "Wrapped", json: `{"data":{"id":null},"id":"1"}`, want: `data {id: "1"}`, find: "Wrapped.*=wrapped Asset.data=unknown"},
		"data of which nothing is known":       {message: "Wrapped", json: `{"data":{"zzz":1},"id":"1"}`, want: `data {id: "1"}`, find: "Wrapped.*=wrapped Asset.data=unknown"},
		"data of another type":                 {message: "Wrapped", json: `{"data":[1],"id":"1"}`, want: `data {id: "1"}`, find: "Wrapped.*=wrapped Asset.data=unknown"},
		"data, and nothing else is known":      {message: "Wrapped", json: `{"data":{"zzz":1},"yyy":2}`, want: `data {}`, find: "Asset.zzz=unknown Wrapped.yyy=unknown"},
		"both, data of which nothing is known": {message: "BareNow", json: `{"data":{"zzz":1},"id":"1"}`, want: `id: "1" data {id: "1"}`, find: "BareNow.data=unknown"},
		"both, nothing known in data":          {message: "BareNow", json: `{"data":{"zzz":1}}`, want: `data {}`, find: "Asset.zzz=unknown"},
		"both, what data alone knows":          {message: "BareNow", json: `{"name":"x"}`, want: `data {name: "x"}`, find: "BareNow.name=unknown"},
		"a bare list":                          {message: "Listed", json: ` [ {"id":"1"} , {"name":"x","zzz":1} ] `, want: `data {id: "1"} data {name: "x"}`, find: "Listed.*=wrapped Asset.zzz=unknown"},
		"a bare list that is empty":            {message: "Listed", json: `[ ]`, find: "Listed.*=wrapped"},
		"a bare list, known at its end":        {message: "Listed", json: `[null,{"zzz":1},{"id":null},3,{"id":"1"}]`, want: `data {} data {} data {id: "1"}`, find: "Listed.*=wrapped Listed.data=null_entry Asset.zzz=unknown Listed.data=mismatch"},
		"a bare list, retyped":                 {message: "ListedOtherwise", json: `[{"id":"1"}]`, want: `data_v2 {id: "1"}`, find: "ListedOtherwise.*=wrapped"},
		"a bare list, of the earlier type":     {message: "ListedOtherwise", json: `["x"]`, want: `data: "x"`, find: "ListedOtherwise.*=wrapped"},
		"a bare list of numbers":               {message: "Numbers", json: `[1,"2"]`, want: `data: 1 data: 2`, find: "Numbers.*=wrapped Numbers.data=coerced"},
		"a bare list of anything":              {message: "Anyhow", json: `[null]`, want: `data {list_value {values {null_value: NULL_VALUE}}}`, find: "Anyhow.*=wrapped"},
		"a bare list in a message":             {message: "Held", json: `[{"id":"1"}]`, want: `data {value {id: "1"}}`, find: "Held.*=wrapped"},
		"a list that is wrapped though bare":   {message: "Assets", json: `{"data":[{"id":"1"}]}`, want: `value {id: "1"}`, find: "Assets.*=wrapped"},
		"an empty list wrapped though bare":    {message: "Assets", json: `{"data":[]}`, find: "Assets.*=wrapped"},
		"a list of what nothing is known":      {message: "Assets", json: `{"data":[{"zzz":1}]}`, find: "Assets.data=unknown"},
		"a page in data":                       {message: "Listed", json: `{"data":{"data":[{"id":"1"}],"cursor":"c"}}`, want: `data {id: "1"} cursor: "c"`, find: "Listed.*=wrapped"},
		"a page without the data around it":    {message: "Twice", json: `{"data":[{"id":"1"}],"cursor":"c"}`, want: `data {data {id: "1"} cursor: "c"}`, find: "Twice.*=wrapped"},
		"a page in two data, as declared":      {message: "Twice", json: `{"data":{"data":[{"id":"1"}]}}`, want: `data {data {id: "1"}}`},
		"data in data in data":                 {message: "Ring", json: `{"data":{"data":{"id":"1"}}}`, want: `data {data {id: "1"}}`},
		"records of which nothing is known":    {message: "Listed", json: `{"data":[{"zzz":1}]}`, want: `data {}`, find: "Asset.zzz=unknown"},
		"a list is not what is bare":           {message: "Listed", json: `{"id":"1"}`, find: "Listed.id=unknown"},
		"bare as declared":                     {message: "Asset", json: `{"id":"1"}`, want: `id: "1"`},
		"wrapped though bare is declared":      {message: "Asset", json: `{"data":{"id":"1","tags":["a"]}}`, want: `id: "1" tags: "a"`, find: "Asset.*=wrapped"},
		"wrapped, with something beside":       {message: "Asset", json: `{"requestId":"x","data":{"id":"1"}}`, want: `id: "1"`, find: "Asset.*=wrapped"},
		"wrapped by another name":              {message: "Asset", json: `{"asset":{"id":"1"}}`, find: "Asset.asset=unknown"},
		"wrapped, and nothing is known":        {message: "Asset", json: `{"data":{"zzz":"1"}}`, find: "Asset.data=unknown"},
		"wrapped twice":                        {message: "Asset", json: `{"data":{"data":{"id":1}}}`, find: "Asset.data=unknown"},
		"a wrapped text":                       {message: "Asset", json: `{"data":"x"}`, find: "Asset.data=unknown"},
		"a wrapped array":                      {message: "Array", json: `{"data":["a"]}`, want: `value: "a"`, find: "Array.*=wrapped"},
		"a wrapped text for an array":          {message: "Array", json: `{"data":"a"}`, find: "Array.data=unknown"},
		"nothing is declared":                  {message: "Empty", json: `{"data":{"id":"1"}}`, find: "Empty.data=unknown"},
		"both, wrapped now":                    {message: "WrappedNow", json: `{"data":{"id":"1","name":"x","tags":["a"]}}`, want: `id: "1" tags: "a" data {id: "1" name: "x" tags: "a"}`},
		"both, bare before":                    {message: "WrappedNow", json: `{"id":"1","name":"x","tags":["a"]}`, want: `id: "1" tags: "a" data {id: "1" name: "x" tags: "a"}`, find: "WrappedNow.*=wrapped"},
		"both, at once":                        {message: "WrappedNow", json: `{"id":"1","tags":["a"],"data":{"id":"2","tags":["b"]}}`, want: `id: "1" tags: "a" data {id: "2" tags: "b"}`},
		"both, nothing known":                  {message: "WrappedNow", json: `{"zzz":1}`, find: "WrappedNow.zzz=unknown"},
		"both, null":                           {message: "WrappedNow", json: `{"data":null}`},
		"both, empty":                          {message: "WrappedNow", json: `{}`},
		"both, bare now":                       {message: "BareNow", json: `{"id":"1","tags":["a"]}`, want: `id: "1" tags: "a" data {id: "1" tags: "a"}`},
		"both, wrapped before":                 {message: "BareNow", json: `{"data":{"id":"1","name":"x","tags":["a"]}}`, want: `id: "1" tags: "a" data {id: "1" name: "x" tags: "a"}`, find: "BareNow.*=wrapped"},
		"both, bare now, retyped":              {message: "BareOtherwise", json: `{"id":5}`, want: `id: "5" id_v2: 5 data {id: "5"}`},
		"both, wrapped before, retyped":        {message: "BareOtherwise", json: `{"data":{"id":"5"}}`, want: `id: "5" id_v2: 5 data {id: "5"}`, find: "BareOtherwise.*=wrapped"},
		"members of both are known":            {message: "BareNow", json: `{"id":"2","data":{"id":"1"}}`, want: `id: "2" data {id: "1"}`},
		"both are declared, and are other":     {message: "Neither", json: `{"data":{"id":"1"}}`, want: `data {id: "1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			md := file.Messages().ByName(protoreflect.Name(test.message))
			want := dynamicpb.NewMessage(md)
			if err := prototext.Unmarshal([]byte(test.want), want); err != nil {
				t.Fatal(err)
			}
			var drift transcode.Drift
			got := decoded(t, decoder(t, md), md, test.json, &drift)
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
			var found []string
			for _, f := range drift.Findings() {
				found = append(found, f.Message+"."+f.Member+"="+f.Kind.String())
			}
			if got := strings.Join(found, " "); got != test.find {
				t.Errorf("findings %q, want %q", got, test.find)
			}
		})
	}
}

// An outermost array that is known in no form does not belong to the message.
func TestDecoder_bareListOfNothingKnown(t *testing.T) {
	t.Parallel()
	file := testproto.Compile(t, listings)
	for _, test := range []struct{ message, json string }{
		{"Listed", `[{"zzz":1}]`},
		{"Listed", `[{"id":null},null]`},
		{"Listed", `["x",1]`},
		{"Listed", `[[{"id":"1"}]]`},
		{"Numbers", `[true,{}]`},
		{"Wrapped", `[{"id":"1"}]`},
		{"Asset", `[]`},
		{"Deep", `[{"id":"1"}]`},
		{"Anyhow", `"x"`},
	} {
		d := decoder(t, file.Messages().ByName(protoreflect.Name(test.message)))
		if wire, err := d.Append(nil, []byte(test.json), nil); !errors.Is(err, transcode.ErrRoot) {
			t.Errorf("%s: %s is read as %x with %v, want ErrRoot", test.message, test.json, wire, err)
		}
	}
}

// A member with further names is read under each of them.
func TestDecoder_otherNames(t *testing.T) {
	t.Parallel()
	md := testproto.Message(t, renamed, "Renamed")
	for document, want := range map[string][2]string{
		`{"externalIds":{"a":"1"},"id":"i"}`:                                  {`ids {key: "a" value: "1"} id: "i"`, ""},
		`{"ExternalIds":{"a":"1"},"id":"i"}`:                                  {`ids {key: "a" value: "1"} id: "i"`, ""},
		`{"\u0045xternalIds":{"a":"1"},"external_ids":{"b":"2"}}`:             {`ids {key: "a" value: "1"}`, "Renamed.externalIds=duplicate"},
		`{"externalIds":{"a":"1"},"ExternalIds":{"b":"2"},"external_ids":{}}`: {`ids {key: "a" value: "1"}`, "Renamed.externalIds=duplicate;n=2"},
		`{"ExternalIds":{"b":2},"externalIds":{"a":"1"}}`:                     {`ids {key: "b" value: "2"}`, "Renamed.externalIds=coerced Renamed.externalIds=duplicate"},
		`{"ExternalIds":null,"externalIds":{"a":"1"}}`:                        {``, "Renamed.externalIds=duplicate"},
		`{"Size":5}`:                {`size: "5" size_v2: 5`, ""},
		`{"Size":"x","size":5}`:     {`size: "x"`, "Renamed.size=duplicate"},
		`{"externalids":{"a":"1"}}`: {``, "Renamed.externalids=unknown"},
		`{"inner":{"ExternalIds":{"a":"1"}},"inners":[{"ExternalIds":{"a":"1"}},{"externalIds":{"a":"1"}},{"ExternalIds":{"a":"1"}}]}`: {
			`inner {ids {key: "a" value: "1"}} inners {ids {key: "a" value: "1"}} inners {ids {key: "a" value: "1"}} inners {ids {key: "a" value: "1"}}`, "",
		},
	} {
		wanted := dynamicpb.NewMessage(md)
		if err := prototext.Unmarshal([]byte(want[0]), wanted); err != nil {
			t.Fatal(err)
		}
		d := decoder(t, md)
		for range 3 { // It learns what to expect.
			var drift transcode.Drift
			got := decoded(t, d, md, document, &drift)
			if diff := cmp.Diff(wanted, got, protocmp.Transform()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", document, diff)
			}
			var found []string
			for _, f := range drift.Findings() {
				text := f.Message + "." + f.Member + "=" + f.Kind.String()
				if f.Count > 1 {
					text += fmt.Sprintf(";n=%d", f.Count)
				}
				found = append(found, text)
			}
			if got := strings.Join(found, " "); got != want[1] {
				t.Errorf("%s: findings %q, want %q", document, got, want[1])
			}
		}
	}
	m := dynamicpb.NewMessage(md)
	if err := prototext.Unmarshal([]byte(`ids {key: "a" value: "1"} size_v2: 5`), m); err != nil {
		t.Fatal(err)
	}
	if text, err := newEncoder(t, md).Append(nil, m, nil); err != nil || string(text) != `{"externalIds":{"a":"1"},"size":5}` {
		t.Errorf("written as %s with %v, want each member under its wire name", text, err)
	}
}

// A name belongs to one field.
func TestDecoder_otherNamesTaken(t *testing.T) {
	t.Parallel()
	for _, fields := range []string{
		`optional string a = 1 [(samsara_gateway.api.v1.field) = {other_names: "b"}]; optional string b = 2;`,
		`optional string b = 1; optional string a = 2 [(samsara_gateway.api.v1.field) = {other_names: "b"}];`,
		`optional string a = 1 [(samsara_gateway.api.v1.field) = {other_names: "b"}]; optional string c = 2 [(samsara_gateway.api.v1.field) = {other_names: "b"}];`,
		`optional string b = 1 [(samsara_gateway.api.v1.field) = {other_names: "b"}];`,
	} {
		md := testproto.Message(t, `syntax = "proto3"; package samsara_gateway.test.v1; import "samsara_gateway/api/v1/annotations.proto"; message M { `+fields+` }`, "M")
		_, err := new(transcode.Compiler).Decoder(md)
		if want := `message cannot be translated: samsara_gateway.test.v1.M has two members of the wire name "b"`; err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", fields, err, want)
		}
	}
}

// renamed has a member under several names.
const renamed = `
	syntax = "proto3";
	package samsara_gateway.test.v1;
	import "samsara_gateway/api/v1/annotations.proto";
	message Renamed {
		map<string, string> ids = 1 [json_name = "externalIds", (samsara_gateway.api.v1.field) = {other_names: ["ExternalIds", "external_ids"]}];
		optional string id = 2;
		optional string size = 3 [(samsara_gateway.api.v1.field) = {retired: true}];
		optional int64 size_v2 = 4 [(samsara_gateway.api.v1.field) = {name: "size", other_names: "Size"}];
		Renamed inner = 5;
		repeated Renamed inners = 6;
	}
`

// FuzzLines reads documents into lines of fields and out of their wrapping, and writes what was read. What is
// written must be the same after it is read and written again.
func FuzzLines(f *testing.F) {
	for _, document := range []string{
		`{"phone":"5","size":"12","tags":"a","counts":[1,"2"],"level":1.5,"extra":{"number":"5"},"flag":"x","three":1}`,
		`{"phone":{"number":1},"size":12,"tags":["a"],"counts":[{"value":1},null],"level":9007199254740993,"extra":[1]}`,
		`{"thing":{"name":"x","thing":{"name":"y","size":"01"}},"text":["a"]}`, `{"text":"a","size":1e3,"level":"1e0"}`,
		`{"data":{"name":"x"}}`, `{"data":{"id":1}}`, `{"id":"1","tags":["a"]}`, `{"size":tru}`, "{\"size\":\"\xff\"}",
	} {
		for i := range 4 {
			f.Add(uint8(i), []byte(document))
		}
	}
	messages := []protoreflect.MessageDescriptor{testproto.Message(f, retyped, "Thing")}
	for _, name := range []string{"Wrapped", "WrappedNow", "BareNow"} {
		messages = append(messages, testproto.Message(f, wrappings, name))
	}
	var decoders []*transcode.Decoder
	var encoders []*transcode.Encoder
	for _, md := range messages {
		decoders = append(decoders, decoder(f, md))
		encoders = append(encoders, newEncoder(f, md))
	}
	f.Fuzz(func(t *testing.T, index uint8, document []byte) {
		valid, judged := isJSON(document)
		if !judged {
			return
		}
		i := int(index) % len(messages)
		var drift transcode.Drift
		wire, err := decoders[i].Append(nil, document, &drift)
		if (err == nil) != (valid && fitsRoot(document, "Vehicle")) {
			t.Fatalf("error = %v", err)
		}
		if err != nil {
			return
		}
		if again, err := decoders[i].Append(nil, document, nil); err != nil || !bytes.Equal(again, wire) {
			t.Fatalf("without drift: %x and %v, want %x", again, err, wire)
		}
		read := dynamicpb.NewMessage(messages[i])
		if err := proto.Unmarshal(wire, read); err != nil {
			t.Fatalf("wire form does not parse: %v", err)
		}
		written, err := encoders[i].Append(nil, read, nil)
		if err != nil || len(drift.Findings()) > 0 || i > 0 {
			return // What was read only in part may differ.
		}
		if wire, err = decoders[i].Append(nil, written, nil); err != nil {
			t.Fatalf("%s is written, which cannot be read: %v", written, err)
		}
		back := dynamicpb.NewMessage(messages[i])
		if err := proto.Unmarshal(wire, back); err != nil {
			t.Fatal(err)
		}
		if again, err := encoders[i].Append(nil, back, nil); err != nil || !bytes.Equal(written, again) {
			t.Errorf("%s is written as %s, and that as %s and %v", document, written, again, err)
		}
	})
}
