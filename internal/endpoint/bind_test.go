package endpoint_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protoreflect"

	"samsara.internal/gateway/internal/endpoint"
)

const zonesSource = `
service ZonesService {
	rpc Get(GetRequest) returns (Response) { @operation = {method: HTTP_METHOD_GET, path: "/v1/zones/{id}"}; }
	rpc GetPart(GetPartRequest) returns (Response) {
		@operation = {method: HTTP_METHOD_GET, path: "/zones/{zone}/parts/{part_number}/all"};
	}
	rpc List(ListRequest) returns (Response) { @operation = {method: HTTP_METHOD_GET, path: "/zones"}; }
	rpc Add(AddRequest) returns (Response) { @operation = {method: HTTP_METHOD_POST, path: "/zones", body: BODY_REQUIRED}; }
	rpc Note(NoteRequest) returns (Response) { @operation = {method: HTTP_METHOD_POST, path: "/notes", body: BODY_OPTIONAL}; }
	rpc Change(ChangeRequest) returns (Response) {
		@operation = {method: HTTP_METHOD_PATCH, path: "/zones/{id}", body: BODY_REQUIRED};
	}
	rpc Replace(ReplaceRequest) returns (Response) { @operation = {method: HTTP_METHOD_PUT, path: "/list", body: BODY_REQUIRED}; }
}
message Response {}
message GetRequest { optional string id = 1 [@path]; }
message GetPartRequest {
	optional int64 part = 1 [@path, @name = "part_number"];
	optional string zone = 2 [@path];
	optional string old = 3 [@path, @name = "part_number", @retired];
}
message ListRequest {
	optional string type = 2 [@query, @required];
	optional int64 limit = 1 [@query];
	repeated string tag_ids = 3 [@query, @comma];
	repeated string attributes = 4 [@query, @repeat];
	repeated int64 devices = 5 [@query, @comma];
	optional bool active = 6 [@query];
	optional double radius = 7 [@query];
	optional string odd = 8 [@query, @name = "a&b="];
	optional uint64 big = 9 [@query];
	optional float small = 10 [@query];
	optional string old = 11 [@query, @name = "limit", @retired];
	repeated string ids = 12 [@query, @comma, @required];
}
message AddRequest {
	optional string name = 1 [@body, @required];
	optional int64 created_at_ms = 2 [@body];
	repeated Stop stops = 3 [@body, @required];
	Circle circle = 4 [@body, @required];
	optional string dry_run = 5 [@query];
	map<string, Stop> by_name = 6 [@body];
	google.protobuf.Value extra = 7 [@body];
	optional double size = 8 [@body];
}
message Stop {
	optional string name = 1 [@required];
	repeated string notes = 2 [@required];
	Circle circle = 3;
}
message Circle {
	optional double latitude = 1 [@required];
	optional double radius_meters = 2;
}
message NoteRequest {
	optional string text = 1 [@body, @required];
	repeated string tags = 2 [@body, @required];
	optional int64 number = 3 [@body];
}
message ChangeRequest {
	optional string id = 1 [@path];
	optional string body_id = 2 [@body, @name = "id"];
	optional string name = 3 [@body, @required];
	Circle circle = 4 [@body];
	repeated string tags = 5 [@body];
	map<string, string> external_ids = 6 [@body];
	google.protobuf.FieldMask update_mask = 7 [@mask];
	optional bool force = 8 [@query];
}
message ReplaceRequest { repeated string items = 1 [@body, @root]; }
`

// zones returns the endpoints of zonesSource by their method's name.
func zones(tb testing.TB) map[string]*endpoint.Endpoint {
	tb.Helper()
	endpoints, err := load(tb, zonesSource)
	if err != nil {
		tb.Fatal(err)
	}
	byName := map[string]*endpoint.Endpoint{}
	for _, e := range endpoints {
		byName[string(e.Method.Name())] = e
	}
	return byName
}

func parse(tb testing.TB, e *endpoint.Endpoint, text string) protoreflect.Message {
	tb.Helper()
	m := e.Input.New()
	if err := prototext.Unmarshal([]byte(text), m.Interface()); err != nil {
		tb.Fatalf("parse %q: %v", text, err)
	}
	return m
}

func TestBind_everyForm(t *testing.T) {
	t.Parallel()
	endpoints := zones(t)
	tests := map[string]struct {
		method, text string
		want         string // path, query and body, as in an HTTP request
	}{
		"a path value is inserted":                   {"Get", `id: "12"`, `/v1/zones/12`},
		"the colon of an external id is kept":        {"Get", `id: "payrollId:ABFS18600"`, `/v1/zones/payrollId:ABFS18600`},
		"what would end the segment is escaped":      {"Get", `id: "a/b?c#d"`, `/v1/zones/a%2Fb%3Fc%23d`},
		"an escape is escaped, once":                 {"Get", `id: "50%25 +"`, `/v1/zones/50%2525%20%2B`},
		"letters beyond ASCII are escaped":           {"Get", `id: "é\u2028\001\177"`, `/v1/zones/%C3%A9%E2%80%A8%01%7F`},
		"what a segment may hold is kept":            {"Get", `id: "Az09-._~!$&'()*,;=:@"`, `/v1/zones/Az09-._~!$&'()*,;=:@`},
		"what a segment may not hold is escaped":     {"Get", `id: "\"<>[\\]^` + "`" + `{|}"`, `/v1/zones/%22%3C%3E%5B%5C%5D%5E%60%7B%7C%7D`},
		"three dots are a name":                      {"Get", `id: "..."`, `/v1/zones/...`},
		"dots within a value are kept":               {"Get", `id: "../x"`, `/v1/zones/..%2Fx`},
		"path values go where the template has them": {"GetPart", `part: -7 zone: "z"`, `/zones/z/parts/-7/all`},

		"parameters stand in the order of their numbers": {
			"List", `type: "t" limit: 5 ids: "i"`, `/zones?limit=5&type=t&ids=i`,
		},
		"an empty text is sent":               {"List", `type: "" ids: ""`, `/zones?type=&ids=`},
		"zero values that are set are sent":   {"List", `type: "t" limit: 0 active: false radius: 0 ids: "i"`, `/zones?limit=0&type=t&active=false&radius=0&ids=i`},
		"a list is joined by commas":          {"List", `type: "t" tag_ids: ["1", "2"] devices: [3, -4] ids: "i"`, `/zones?type=t&tagIds=1,2&devices=3,-4&ids=i`},
		"a comma in a joined list is escaped": {"List", `type: "t" ids: ["a,b", "c"]`, `/zones?type=t&ids=a%2Cb,c`},
		"a list is sent as repeated keys":     {"List", `type: "t" attributes: ["a", "", "b c"] ids: "i"`, `/zones?type=t&attributes=a&attributes=&attributes=b%20c&ids=i`},
		"what separates parameters is escaped": {
			"List", `type: "a&b=c+d;e#f%20/?:@" ids: "i"`, `/zones?type=a%26b%3Dc%2Bd%3Be%23f%2520%2F%3F%3A%40&ids=i`,
		},
		"names are escaped": {"List", `type: "t" odd: "o" ids: "i"`, `/zones?type=t&a%26b%3D=o&ids=i`},
		"numbers are decimal": {
			"List", `limit: -9223372036854775808 type: "t" radius: 1e21 big: 18446744073709551615 small: 0.1 ids: "i"`,
			`/zones?limit=-9223372036854775808&type=t&radius=1000000000000000000000&big=18446744073709551615&small=0.1&ids=i`,
		},

		"body fields are members of an object": {
			"Add", `name: "n" created_at_ms: 1700000000000 circle {latitude: 1} dry_run: "y"`,
			`/zones?dryRun=y {"name":"n","createdAtMs":1700000000000,"stops":[],"circle":{"latitude":1}}`,
		},
		"required lists are empty if they are unset": {
			"Add", `name: "n" stops {name: "s"} circle {latitude: 1}`,
			`/zones {"name":"n","stops":[{"name":"s","notes":[]}],"circle":{"latitude":1}}`,
		},
		"an optional body that is not set is not sent": {"Note", ``, `/notes`},
		"an optional body that is set is sent":         {"Note", `text: ""`, `/notes {"text":"","tags":[]}`},
		"a root field is the body":                     {"Replace", `items: ["a", "b"]`, `/list ["a","b"]`},
		"an empty root list is the body":               {"Replace", ``, `/list []`},

		"without a mask what is set is sent": {
			"Change", `id: "1" body_id: "2" name: "n"`, `/zones/1 {"id":"2","name":"n"}`,
		},
		"with a mask exactly what it names is sent": {
			"Change", `id: "1" name: "n" tags: "t" force: true update_mask {paths: ["body_id", "circle", "external_ids", "tags"]}`,
			`/zones/1?force=true {"id":null,"circle":null,"tags":["t"],"externalIds":{}}`,
		},
		"a mask names members": {
			"Change", `id: "1" circle {latitude: 2 radius_meters: 3} update_mask {paths: "circle.radius_meters"}`,
			`/zones/1 {"circle":{"radiusMeters":3}}`,
		},
		"a mask without paths is no mask": {"Change", `id: "1" name: "n" update_mask {}`, `/zones/1 {"name":"n"}`},
		"with a mask nothing in the body is required": {
			"Change", `id: "1" circle {} update_mask {paths: "circle"}`, `/zones/1 {"circle":{}}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := endpoints[test.method]
			request, err := e.Bind(parse(t, e, test.text))
			if err != nil {
				t.Fatal(err)
			}
			got := request.Path
			if request.Query != "" {
				got += "?" + request.Query
			}
			if request.Body != nil {
				got += " " + string(request.Body)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("request differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBind_refused(t *testing.T) {
	t.Parallel()
	endpoints := zones(t)
	segment := func(quoted string) string {
		return "id: is " + quoted + ", must be neither empty nor a path segment of dots"
	}
	tests := map[string]struct {
		method, text string
		want         []string
	}{
		"an unset path value":          {"Get", ``, []string{"id: is required"}},
		"an empty path value":          {"Get", `id: ""`, []string{segment(`""`)}},
		"a dot":                        {"Get", `id: "."`, []string{segment(`"."`)}},
		"two dots":                     {"Get", `id: ".."`, []string{segment(`".."`)}},
		"dots that are escaped":        {"Get", `id: "%2E%2e"`, []string{segment(`"%2E%2e"`)}},
		"dots that are partly escaped": {"Get", `id: ".%2e"`, []string{segment(`".%2e"`)}},
		"a required parameter that is unset": {
			"List", `limit: 1`, []string{"type: is required", "ids: is required"},
		},
		"numbers that are not finite": {
			"List", `type: "t" ids: "i" radius: nan small: -inf`,
			[]string{"radius: is NaN, must be a finite number", "small: is -Inf, must be a finite number"},
		},
		"required body fields that are unset, also nested ones": {
			"Add", `stops {name: "a"} stops {circle {}} stops {} by_name {key: "k" value {}}`,
			[]string{
				"name: is required", "stops[1].name: is required", "stops[1].circle.latitude: is required",
				"stops[2].name: is required", "circle: is required", `by_name["k"].name: is required`,
			},
		},
		"required fields of an optional body that is sent": {"Note", `number: 1`, []string{"text: is required"}},
		"values that JSON does not have": {
			"Add", `name: "n" circle {latitude: 1} size: inf`, []string{"size: must be a finite number"},
		},
		"a free-form value that holds nothing": {
			"Add", `name: "n" circle {latitude: 1} extra {struct_value {fields {key: "a" value {}}}}`,
			[]string{`extra["a"]: must hold a value: null is null_value`},
		},
		"paths of a mask that name no body field": {
			"Change", `id: "1" update_mask {paths: ["name", "id", "force", "update_mask", "", "*", "bodyIds", "tags.x"]}`,
			[]string{
				`update_mask: "id" does not name a field of the body: there is no "id"`,
				`update_mask: "force" does not name a field of the body: there is no "force"`,
				`update_mask: "update_mask" does not name a field of the body: there is no "update_mask"`,
				`update_mask: "" must not be empty`,
				`update_mask: "*" must name fields: there is no wildcard`,
				`update_mask: "bodyIds" does not name a field of the body: there is no "bodyIds", but "body_id"`,
				`update_mask: "tags.x" leads through "tags", which is a list, a map or a single value: name it whole`,
			},
		},
		"everything at once": {
			"Change", `circle {latitude: nan}`,
			[]string{"id: is required", "name: is required", "circle.latitude: must be a finite number"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := endpoints[test.method]
			request, err := e.Bind(parse(t, e, test.text))
			var refused *endpoint.ArgumentError
			if !errors.As(err, &refused) {
				t.Fatalf("Bind returns %v, %v, want an *ArgumentError", request, err)
			}
			var got []string
			for _, v := range refused.Violations {
				got = append(got, v.Field+": "+v.Description)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("violations differ (-want +got):\n%s", diff)
			}
			if want := strings.Join(got, "; "); err.Error() != want {
				t.Errorf("error is %q, want %q", err, want)
			}
			if request.Path != "" || request.Query != "" || request.Body != nil {
				t.Errorf("request is %v, want none", request)
			}
		})
	}
}

func TestBind_invalidUTF8(t *testing.T) {
	t.Parallel()
	endpoints := zones(t)
	get := endpoints["Get"]
	m := get.Input.New()
	m.Set(get.PathFields[0], protoreflect.ValueOfString("a\xff"))
	if _, err := get.Bind(m); err == nil || err.Error() != `id: is "a\xff", must be valid UTF-8` {
		t.Errorf("error is %v", err)
	}
}

func TestBind_otherMessageType(t *testing.T) {
	t.Parallel()
	endpoints := zones(t)
	_, err := endpoints["Get"].Bind(endpoints["List"].Input.New())
	var refused *endpoint.ArgumentError
	if !errors.As(err, &refused) {
		t.Fatalf("error is %v, want an *ArgumentError", err)
	}
	want := []endpoint.Violation{{Description: "message is samsara_gateway.test.v1.ListRequest, must be samsara_gateway.test.v1.GetRequest"}}
	if diff := cmp.Diff(want, refused.Violations); diff != "" {
		t.Errorf("violations differ (-want +got):\n%s", diff)
	}
}

func TestBind_longRequestLine(t *testing.T) {
	t.Parallel()
	endpoints := zones(t)
	const most = endpoint.MaxRequestLineBytes
	tooLong := func(field string) string {
		return fmt.Sprintf("%s: makes path and query longer than %d bytes", field, most)
	}
	rest := len("/zones" + "type=&ids=i")
	tests := map[string]struct {
		method, text, want string
	}{
		"as long as allowed": {"List", fmt.Sprintf(`type: %q ids: "i"`, strings.Repeat("a", most-rest)), ""},
		"a byte longer":      {"List", fmt.Sprintf(`type: %q ids: "i"`, strings.Repeat("a", most-rest+1)), tooLong("ids")},
		"longer once escaped": {
			"List", fmt.Sprintf(`type: %q ids: "i"`, strings.Repeat(" ", most/3+1)), tooLong("type"),
		},
		"a long path":           {"Get", fmt.Sprintf(`id: %q`, strings.Repeat("a", most)), tooLong("id")},
		"a value far too long":  {"Get", fmt.Sprintf(`id: %q`, strings.Repeat("a", 10*most)), tooLong("id")},
		"many empty values":     {"List", `type: "t" ids: "i" ` + strings.Repeat(`attributes: "" `, most/12), tooLong("attributes")},
		"values together":       {"List", `type: "t" ids: "i" ` + strings.Repeat(`tag_ids: "0123456789abcdef" `, most/16), tooLong("tag_ids")},
		"only the first counts": {"List", fmt.Sprintf(`type: %q ids: %[1]q`, strings.Repeat("a", most)), tooLong("type")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := endpoints[test.method]
			_, err := e.Bind(parse(t, e, test.text))
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("error is %q, want %q", got, test.want)
			}
		})
	}
}

func TestBind_manyViolations(t *testing.T) {
	t.Parallel()
	endpoints := zones(t)
	add, change, get := endpoints["Add"], endpoints["Change"], endpoints["Get"]
	_, err := add.Bind(parse(t, add, strings.Repeat("stops {} ", 10*endpoint.MaxViolations)))
	var refused *endpoint.ArgumentError
	if !errors.As(err, &refused) || len(refused.Violations) != endpoint.MaxViolations {
		t.Errorf("error is %v, want %d violations", err, endpoint.MaxViolations)
	}
	path := "a" + strings.Repeat("é", endpoint.MaxValueBytes)
	_, err = change.Bind(parse(t, change, fmt.Sprintf(`id: "1" update_mask {paths: %q}`, path)))
	want := fmt.Sprintf(`update_mask: "a%s"... does not name a field of the body: there is no "a%s"`,
		strings.Repeat("é", endpoint.MaxValueBytes/2-1), strings.Repeat("é", endpoint.MaxValueBytes-1))
	if err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
	m := get.Input.New()
	m.Set(get.PathFields[0], protoreflect.ValueOfString(strings.Repeat("\xff", 1000)))
	_, err = get.Bind(m)
	if err == nil || len(err.Error()) > 5*endpoint.MaxValueBytes {
		t.Errorf("error is %v, want a short one", err)
	}
}

func BenchmarkBind(b *testing.B) {
	endpoints := zones(b)
	for _, test := range []struct{ name, method, text string }{
		{"path", "Get", `id: "payrollId:ABFS18600"`},
		{"query", "List", `limit: 512 type: "vehicle" tag_ids: ["281474976710656", "281474976710657"] active: true ids: "2024-01-01T00:00:00Z"`},
		{"body", "Add", `name: "Delivery" created_at_ms: 1700000000000 circle {latitude: 37.77 radius_meters: 250} stops {name: "a"} stops {name: "b"}`},
		{"mask", "Change", `id: "1" name: "n" tags: "t" update_mask {paths: ["name", "circle.radius_meters", "tags"]}`},
	} {
		b.Run(test.name, func(b *testing.B) {
			e := endpoints[test.method]
			m := parse(b, e, test.text)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Bind(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzBind reads the request line back with net/url and the body with encoding/json: all values arrive
// unchanged, and nothing else does.
func FuzzBind(f *testing.F) {
	for _, s := range []string{
		"", ".", "..", "...", "%2e%2e", "..%2f..", "a/b", "a%2Fb", "a b+c", "payrollId:ABFS18600", "é\u2028", "\x00\n", "a?b#c", "a&b=c;d", "a,b", "\xff", "http://x/", "//", "\\",
	} {
		f.Add(s, s, "other", int64(7), 0.5)
		f.Add("id", s, s, int64(-1), math.NaN())
	}
	endpoints := zones(f)
	part, list, note := endpoints["GetPart"], endpoints["List"], endpoints["Note"]
	f.Fuzz(func(t *testing.T, a, b, c string, n int64, x float64) {
		m := newMessage(part, map[string]protoreflect.Value{"zone": protoreflect.ValueOfString(a), "part": protoreflect.ValueOfInt64(n)})
		if request, err := part.Bind(m); err == nil {
			u, err := url.ParseRequestURI(request.Path)
			if err != nil {
				t.Fatalf("path of %q: %v", a, err)
			}
			if want := fmt.Sprintf("/zones/%s/parts/%d/all", a, n); u.Path != want {
				t.Fatalf("path of %q is %q, which reads %q, want %q", a, request.Path, u.Path, want)
			}
			segments := strings.Split(request.Path, "/")
			if len(segments) != 6 || segments[2] == "" || segments[2] == "." || segments[2] == ".." {
				t.Fatalf("path of %q is %q: it has another shape", a, request.Path)
			}
			if joined := u.JoinPath(); joined.EscapedPath() != u.EscapedPath() {
				t.Fatalf("path of %q is %q, and cleaned %q", a, request.Path, joined.EscapedPath())
			}
		}

		m = newMessage(list, map[string]protoreflect.Value{
			"type": protoreflect.ValueOfString(a), "limit": protoreflect.ValueOfInt64(n), "radius": protoreflect.ValueOfFloat64(x), "odd": protoreflect.ValueOfString(c),
		})
		for field, values := range map[string][]string{"tag_ids": {a, b}, "attributes": {b, c}, "ids": {c}} {
			for _, value := range values {
				m.Mutable(list.Input.Descriptor().Fields().ByName(protoreflect.Name(field))).List().Append(protoreflect.ValueOfString(value))
			}
		}
		if request, err := list.Bind(m); err == nil {
			got, err := url.ParseQuery(request.Query)
			if err != nil {
				t.Fatalf("query %q: %v", request.Query, err)
			}
			want := url.Values{
				"type": {a}, "limit": {fmt.Sprint(n)}, "tagIds": {a + "," + b}, "attributes": {b, c}, "ids": {c}, "a&b=": {c},
				"radius": got["radius"],
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("query %q differs (-want +got):\n%s", request.Query, diff)
			}
			var radius float64
			if err := json.Unmarshal([]byte(got.Get("radius")), &radius); err != nil || radius != x {
				t.Fatalf("radius %v reads %v, error %v", x, radius, err)
			}
			// Only the commas between elements are bare: commas within them are escaped.
			if raw := strings.Count(request.Query, ","); raw != 1 {
				t.Fatalf("query %q has %d commas, want 1", request.Query, raw)
			}
		}

		m = newMessage(note, map[string]protoreflect.Value{"text": protoreflect.ValueOfString(a), "number": protoreflect.ValueOfInt64(n)})
		request, err := note.Bind(m)
		if err != nil {
			return
		}
		var got struct {
			Text   string
			Number json.Number
			Tags   []string
		}
		if err := json.Unmarshal(request.Body, &got); err != nil {
			t.Fatalf("body %q: %v", request.Body, err)
		}
		if got.Text != a || got.Number.String() != fmt.Sprint(n) || got.Tags == nil {
			t.Fatalf("body %q of %q and %d reads %+v", request.Body, a, n, got)
		}
	})
}

func newMessage(e *endpoint.Endpoint, values map[string]protoreflect.Value) protoreflect.Message {
	m := e.Input.New()
	for name, value := range values {
		m.Set(m.Descriptor().Fields().ByName(protoreflect.Name(name)), value)
	}
	return m
}
