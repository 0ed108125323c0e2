package endpoint_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/dynamicpb"

	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/testproto"
	"samsara.internal/gateway/internal/transcode"
)

// The drill uses an API before and after a newer document, as cmd/protogen writes them: texts have become an
// object, a list and an integer, one answer is now wrapped and another one no longer is. A retyped member has
// one field more, and what the document lost is deprecated.
const (
	drillService = `
service ContactsService {
	rpc Create(CreateRequest) returns (CreateResponse) { @operation = {method: HTTP_METHOD_POST, path: "/contacts", body: BODY_REQUIRED}; }
	rpc Update(UpdateRequest) returns (UpdateResponse) { @operation = {method: HTTP_METHOD_PATCH, path: "/contacts/{id}", body: BODY_REQUIRED}; }
	rpc Replace(ReplaceRequest) returns (UpdateResponse) { @operation = {method: HTTP_METHOD_PUT, path: "/contacts/{id}", body: BODY_REQUIRED}; }
	rpc List(ListRequest) returns (ListResponse) { @operation = {method: HTTP_METHOD_GET, path: "/contacts"}; }
}
message ListResponse {
	repeated Contact data = 1;
}
`
	drillBefore = drillService + `
message Contact {
	optional string first_name = 1;
	optional string phone = 2;
	optional string tags = 3;
	optional string size = 4;
	google.protobuf.Value extra = 5;
	map<string, string> ids = 6;
}
message CreateRequest {
	optional string first_name = 1 [@body];
	optional string phone = 2 [@body];
	optional string tags = 3 [@body];
	optional string size = 4 [@body];
	Contact partner = 5 [@body];
}
message UpdateRequest {
	optional string id = 1 [@path];
	optional string phone = 2 [@body];
	optional string tags = 3 [@body];
	Contact partner = 4 [@body];
	google.protobuf.FieldMask update_mask = 5 [@mask];
}
message ReplaceRequest {
	optional string id = 1 [@path];
	optional string size = 2 [@body, @required];
}
message ListRequest {
	optional string tag_ids = 1 [@query];
	optional string limit = 2 [@query];
}
message CreateResponse {
	optional string first_name = 1;
	optional string phone = 2;
}
message UpdateResponse {
	Contact data = 1;
}`
	drillAfter = drillService + `
message Phone {
	optional string number = 1;
}
message Extra {
	optional string note = 1;
}
message Contact {
	optional string first_name = 1;
	optional string phone = 2 [@retired];
	optional string tags = 3 [@retired];
	optional string size = 4 [@retired];
	google.protobuf.Value extra = 5 [@retired];
	map<string, string> ids = 6 [@retired];
	Phone phone_v2 = 7 [@name = "phone"];
	repeated string tags_v2 = 8 [@name = "tags"];
	optional int64 size_v2 = 9 [@name = "size"];
	Extra extra_v2 = 10 [@name = "extra"];
	repeated string ids_v2 = 11 [@name = "ids"];
}
message CreateRequest {
	optional string first_name = 1 [@body];
	optional string phone = 2 [@body, @retired];
	optional string tags = 3 [@body, @retired];
	optional string size = 4 [@body, @retired];
	Contact partner = 5 [@body];
	Phone phone_v2 = 6 [@body, @name = "phone"];
	repeated string tags_v2 = 7 [@body, @name = "tags"];
	optional int64 size_v2 = 8 [@body, @name = "size"];
}
message UpdateRequest {
	optional string id = 1 [@path];
	optional string phone = 2 [@body, @retired];
	optional string tags = 3 [@body, @retired];
	Contact partner = 4 [@body];
	google.protobuf.FieldMask update_mask = 5 [@mask];
	Phone phone_v2 = 6 [@body, @name = "phone"];
	repeated string tags_v2 = 7 [@body, @name = "tags"];
}
message ReplaceRequest {
	optional string id = 1 [@path, @retired];
	optional string size = 2 [@body, @retired];
	optional int64 id_v2 = 3 [@path, @name = "id"];
	optional int64 size_v2 = 4 [@body, @name = "size", @required];
}
message ListRequest {
	optional string tag_ids = 1 [@query, @retired];
	optional string limit = 2 [@query, @retired];
	repeated string tag_ids_v2 = 3 [@query, @comma, @name = "tagIds"];
	optional int64 limit_v2 = 4 [@query, @name = "limit"];
}
message CreateResponse {
	optional string first_name = 1 [deprecated = true];
	optional string phone = 2 [deprecated = true];
	Contact data = 3;
}
message UpdateResponse {
	Contact data = 1 [deprecated = true];
	optional string first_name = 2;
	optional int64 size = 3;
}`
)

// api is a surface: its messages, and the gateway built from it.
type api struct {
	file      protoreflect.FileDescriptor
	endpoints map[string]*endpoint.Endpoint
}

func newAPI(t *testing.T, text string) api {
	t.Helper()
	file := testproto.Compile(t, source(text))
	var files protoregistry.Files
	if err := files.RegisterFile(file); err != nil {
		t.Fatal(err)
	}
	all, err := endpoint.Load(&files, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := api{file: file, endpoints: map[string]*endpoint.Endpoint{}}
	for _, e := range all {
		a.endpoints[string(e.Method.Name())] = e
	}
	return a
}

// message returns a message of the API as a client of it makes it.
func (a api) message(t *testing.T, name, text string) *dynamicpb.Message {
	t.Helper()
	m := dynamicpb.NewMessage(a.file.Messages().ByName(protoreflect.Name(name)))
	if err := prototext.Unmarshal([]byte(text), m); err != nil {
		t.Fatalf("%s %q: %v", name, text, err)
	}
	return m
}

// sent returns the HTTP request that the gateway makes from a client's message, which may be of another
// surface.
func (a api) sent(t *testing.T, method string, request proto.Message) (endpoint.Request, error) {
	t.Helper()
	wire, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	e := a.endpoints[method]
	m := e.Input.New()
	if err := proto.Unmarshal(wire, m.Interface()); err != nil {
		t.Fatal(err)
	}
	return e.Bind(m)
}

// TestDrill_written has clients of either surface call gateways of either one.
func TestDrill_written(t *testing.T) {
	t.Parallel()
	before, after := newAPI(t, drillBefore), newAPI(t, drillAfter)
	for name, test := range map[string]struct {
		client          api
		method, request string
		before, after   string // what either gateway sends, or what it refuses
	}{
		"an old client creates": {
			client: before, method: "Create", request: `first_name: "A" phone: "555" tags: "a,b" size: "7"`,
			before: `POST /contacts {"firstName":"A","phone":"555","tags":"a,b","size":"7"}`,
			after:  `POST /contacts {"firstName":"A","phone":"555","tags":"a,b","size":"7"}`,
		},
		"a new client creates": {
			client: after, method: "Create", request: `first_name: "A" phone_v2 {number: "555"} tags_v2: ["a", "b"] size_v2: 7`,
			before: `POST /contacts {"firstName":"A"}`, // The old gateway does not send what it does not know.
			after:  `POST /contacts {"firstName":"A","phone":{"number":"555"},"tags":["a","b"],"size":7}`,
		},
		"a new client writes the old fields": {
			client: after, method: "Create", request: `phone: "555" tags: "a" size: "7"`,
			before: `POST /contacts {"phone":"555","tags":"a","size":"7"}`,
			after:  `POST /contacts {"phone":"555","tags":"a","size":"7"}`,
		},
		"nobody gives what is required": {
			client: before, method: "Replace", request: ``,
			before: `id: is required; size: is required`,
			after:  `id_v2: is required; size_v2: is required`,
		},
		"an old client gives what is required": {
			client: before, method: "Replace", request: `id: "a" size: "7"`,
			before: `PUT /contacts/a {"size":"7"}`,
			after:  `PUT /contacts/a {"size":"7"}`,
		},
		"a new client gives what is required": {
			client: after, method: "Replace", request: `id_v2: 1 size_v2: 7`,
			before: `id: is required; size: is required`,
			after:  `PUT /contacts/1 {"size":7}`,
		},
		"below": {
			client: before, method: "Create", request: `size: "1" partner {phone: "555" tags: "a" size: "x" extra {number_value: 1} ids {key: "k" value: "v"}}`,
			before: `POST /contacts {"size":"1","partner":{"phone":"555","tags":"a","size":"x","extra":1,"ids":{"k":"v"}}}`,
			after:  `POST /contacts {"size":"1","partner":{"phone":"555","tags":"a","size":"x","extra":1,"ids":{"k":"v"}}}`,
		},
		"two fields of one member": {
			client: after, method: "Create", request: `phone: "555" phone_v2 {number: "555"}`,
			before: `POST /contacts {"phone":"555"}`,
			after:  `phone_v2: must not differ from phone, which is the same member: set one of them`,
		},
		"two fields of one member, below": {
			client: after, method: "Create", request: `partner {tags: "a" tags_v2: "a"}`,
			before: `POST /contacts {"partner":{"tags":"a"}}`,
			after:  `partner.tags_v2: must not differ from tags, which is the same member: set one of them`,
		},
		"two fields of one member that say the same": {
			client: after, method: "Create", request: `size: "1" size_v2: 1 partner {extra {struct_value {fields {key: "note" value {string_value: "x"}}}} extra_v2 {note: "x"}}`,
			before: `POST /contacts {"size":"1","partner":{"extra":{"note":"x"}}}`,
			after:  `POST /contacts {"partner":{"extra":{"note":"x"}},"size":1}`,
		},
		"an old client updates": {
			client: before, method: "Update", request: `id: "1" phone: "555"`,
			before: `PATCH /contacts/1 {"phone":"555"}`,
			after:  `PATCH /contacts/1 {"phone":"555"}`,
		},
		"an old client updates by mask": {
			client: before, method: "Update", request: `id: "1" phone: "555" update_mask {paths: ["phone", "tags", "partner.size"]}`,
			before: `PATCH /contacts/1 {"phone":"555","tags":null,"partner":{"size":null}}`,
			after:  `PATCH /contacts/1 {"phone":"555","tags":null,"partner":{"size":null}}`,
		},
		"a new client updates by mask": {
			client: after, method: "Update", request: `id: "1" phone_v2 {number: "5"} update_mask {paths: ["phone_v2.number", "tags_v2", "partner.size_v2"]}`,
			before: `update_mask: "phone_v2.number" does not name a field of the body: there is no "phone_v2", but "phone"; ` +
				`update_mask: "tags_v2" does not name a field of the body: there is no "tags_v2", but "tags"; update_mask: "partner.size_v2" does not name a field of the body: there is no "size_v2", but "size"`,
			after: `PATCH /contacts/1 {"partner":{"size":null},"phone":{"number":"5"},"tags":[]}`,
		},
		"a mask says which of two fields counts": {
			client: after, method: "Update", request: `id: "1" phone: "555" phone_v2 {number: "5"} update_mask {paths: "phone"}`,
			before: `PATCH /contacts/1 {"phone":"555"}`,
			after:  `PATCH /contacts/1 {"phone":"555"}`,
		},
		"a mask of both fields": {
			client: after, method: "Update", request: `id: "1" phone: "555" update_mask {paths: ["phone", "phone_v2", "tags", "tags_v2"]}`,
			before: `update_mask: "phone_v2" does not name a field of the body: there is no "phone_v2", but "phone"; update_mask: "tags_v2" does not name a field of the body: there is no "tags_v2", but "tags"`,
			after:  `PATCH /contacts/1 {"phone":"555","tags":[]}`,
		},
		"two fields of one segment": {
			client: after, method: "Replace", request: `id: "1" id_v2: 1 size: "7"`,
			before: `PUT /contacts/1 {"size":"7"}`,
			after:  `id_v2: must not be set together with id, which is the same parameter`,
		},
		"an old client lists": {
			client: before, method: "List", request: `tag_ids: "1,2" limit: "3"`,
			before: `GET /contacts?tagIds=1%2C2&limit=3`,
			after:  `GET /contacts?tagIds=1%2C2&limit=3`,
		},
		"a new client lists": {
			client: after, method: "List", request: `tag_ids_v2: ["1", "2"] limit_v2: 3`,
			before: `GET /contacts`, // Query parameters that it does not know.
			after:  `GET /contacts?tagIds=1,2&limit=3`,
		},
		"two parameters of one name": {
			client: after, method: "List", request: `tag_ids_v2: ["1", "2"] tag_ids: "1"`,
			before: `GET /contacts?tagIds=1`,
			after:  `tag_ids_v2: must not be set together with tag_ids, which is the same parameter`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := test.client.message(t, test.method+"Request", test.request)
			for _, gateway := range []struct {
				name string
				api
				want string
			}{{"old", before, test.before}, {"new", after, test.after}} {
				sent, err := gateway.sent(t, test.method, request)
				e := gateway.endpoints[test.method]
				got := strings.TrimSuffix(e.HTTPMethod+" "+sent.Path+"?"+sent.Query, "?")
				if sent.Body != nil {
					got += " " + string(sent.Body)
				}
				var refused *endpoint.ArgumentError
				if errors.As(err, &refused) {
					got = refused.Error()
				}
				if got != gateway.want {
					t.Errorf("%s gateway:\n got %s\nwant %s", gateway.name, got, gateway.want)
				}
			}
		})
	}
}

// TestDrill_read has the gateway of the new surface read answers of either kind, for clients of
// either surface.
func TestDrill_read(t *testing.T) {
	t.Parallel()
	before, after := newAPI(t, drillBefore), newAPI(t, drillAfter)
	for name, test := range map[string]struct {
		method, answer string
		before, after  string // what clients of either surface see
		drift          string
	}{
		"all of the old types": {
			method: "List",
			answer: `{"data":[{"firstName":"A","phone":"555","tags":"a,b","size":"x7","extra":[1],"ids":{"k":"v"}}]}`,
			before: `data {first_name: "A" phone: "555" tags: "a,b" size: "x7" extra {list_value {values {number_value: 1}}} ids {key: "k" value: "v"}}`,
			after:  `data {first_name: "A" phone: "555" tags: "a,b" size: "x7" extra {list_value {values {number_value: 1}}} ids {key: "k" value: "v"}}`,
		},
		"all of the new types": {
			method: "List",
			answer: `{"data":[{"phone":{"number":"555"},"tags":["a","b"],"size":7,"extra":{"note":"x"},"ids":["v"]}]}`,
			before: `data {size: "7" extra {struct_value {fields {key: "note" value {string_value: "x"}}}}}`,
			after: `data {phone_v2 {number: "555"} tags_v2: ["a", "b"] size: "7" size_v2: 7
				extra {struct_value {fields {key: "note" value {string_value: "x"}}}} extra_v2 {note: "x"} ids_v2: "v"}`,
		},
		"an integer's text": {
			method: "List", answer: `{"data":[{"size":"7"},{"size":"007"}]}`,
			before: `data {size: "7"} data {size: "007"}`,
			after:  `data {size: "7" size_v2: 7} data {size: "007"}`,
		},
		"a number that is no integer": {
			method: "List", answer: `{"data":[{"size":7.5}]}`,
			before: `data {size: "7.5"}`, after: `data {size: "7.5"}`,
			drift: `Contact.size=coerced`,
		},
		"none fits": {
			method: "List", answer: `{"data":[{"phone":[1],"tags":{"a":1},"size":{},"ids":"x"}]}`,
			before: `data {}`, after: `data {}`,
			drift: `Contact.phone=mismatch Contact.tags=mismatch Contact.size=mismatch Contact.ids=mismatch`,
		},
		"what is within the value that fits": {
			method: "List", answer: `{"data":[{"phone":{"number":5,"kind":"x"},"extra":{"note":[]}}]}`,
			before: `data {extra {struct_value {fields {key: "note" value {list_value {}}}}}}`,
			after:  `data {phone_v2 {number: "5"} extra {struct_value {fields {key: "note" value {list_value {}}}}} extra_v2 {}}`,
			drift:  `Phone.number=coerced Phone.kind=unknown`,
		},
		"null": {
			method: "List", answer: `{"data":[{"phone":null,"tags":null,"size":null,"ids":null}]}`,
			before: `data {}`, after: `data {}`,
		},
		"a member twice": {
			method: "List", answer: `{"data":[{"size":1,"size":2}]}`,
			before: `data {size: "1"}`, after: `data {size: "1" size_v2: 1}`,
			drift: `Contact.size=duplicate`,
		},
		"what is wrapped now, wrapped": {
			method: "Create", answer: `{"data":{"firstName":"A","phone":{"number":"555"}}}`,
			before: `first_name: "A"`,
			after:  `first_name: "A" data {first_name: "A" phone_v2 {number: "555"}}`,
		},
		"what is wrapped now, bare": {
			method: "Create", answer: `{"firstName":"A","phone":"555"}`,
			before: `first_name: "A" phone: "555"`,
			after:  `first_name: "A" phone: "555" data {first_name: "A" phone: "555"}`,
			drift:  `CreateResponse.*=wrapped`,
		},
		"what is bare now, bare": {
			method: "Update", answer: `{"firstName":"A","size":7}`,
			before: `data {first_name: "A" size: "7"}`,
			after:  `first_name: "A" size: 7 data {first_name: "A" size: "7" size_v2: 7}`,
		},
		"what is bare now, wrapped": {
			method: "Update", answer: `{"data":{"firstName":"A","size":7}}`,
			before: `data {first_name: "A" size: "7"}`,
			after:  `first_name: "A" size: 7 data {first_name: "A" size: "7" size_v2: 7}`,
			drift:  `UpdateResponse.*=wrapped`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var drift transcode.Drift
			wire, err := after.endpoints[test.method].Response.Append(nil, []byte(test.answer), &drift)
			if err != nil {
				t.Fatal(err)
			}
			var found []string
			for _, f := range drift.Findings() {
				found = append(found, f.Message+"."+f.Member+"="+f.Kind.String())
			}
			if got := strings.Join(found, " "); got != test.drift {
				t.Errorf("drift %q, want %q", got, test.drift)
			}
			for _, client := range []struct {
				name string
				api
				want string
			}{{"old", before, test.before}, {"new", after, test.after}} {
				want := client.message(t, test.method+"Response", client.want)
				got := client.message(t, test.method+"Response", "")
				if err := proto.Unmarshal(wire, got); err != nil {
					t.Fatal(err)
				}
				// An old client does not see what is unknown to it.
				forget(got.ProtoReflect())
				if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
					t.Errorf("%s client (-want +got):\n%s", client.name, diff)
				}
			}
		})
	}
}

// TestDrill_readBack has a new client, and an old one that keeps what it does not know, write what
// they have read.
func TestDrill_readBack(t *testing.T) {
	t.Parallel()
	before, after := newAPI(t, drillBefore), newAPI(t, drillAfter)
	for _, answer := range []string{
		`{"firstName":"A","phone":"555","tags":"a,b","size":"x7","extra":[1],"ids":{"k":"v"}}`,
		`{"phone":{"number":"555"},"tags":["a","b"],"size":7,"extra":{"note":"x"},"ids":["v"]}`,
	} {
		wire, err := after.endpoints["List"].Response.Append(nil, []byte(`{"data":[`+answer+`]}`), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, client := range []api{before, after} {
			read := client.message(t, "ListResponse", "")
			if err := proto.Unmarshal(wire, read); err != nil {
				t.Fatal(err)
			}
			request := client.message(t, "UpdateRequest", `id: "1"`)
			request.Set(request.Descriptor().Fields().ByName("partner"), read.Get(read.Descriptor().Fields().ByName("data")).List().Get(0))
			sent, err := after.sent(t, "Update", request)
			if err != nil {
				t.Errorf("%s: %v", answer, err)
				continue
			}
			if diff := cmp.Diff(jsonValue(t, `{"partner":`+answer+`}`), jsonValue(t, string(sent.Body))); diff != "" {
				t.Errorf("written (-read +sent):\n%s", diff)
			}
		}
	}
}

func jsonValue(t *testing.T, text string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return value
}

// forget removes the unknown fields of m and of what it holds.
func forget(m protoreflect.Message) {
	m.SetUnknown(nil)
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap() || fd.Message() == nil:
		case fd.IsList():
			for i := range v.List().Len() {
				forget(v.List().Get(i).Message())
			}
		default:
			forget(v.Message())
		}
		return true
	})
}
