package sandbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "samsara.internal/gateway/gen"
	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token   = "token-of-the-test"
	firstID = 281474976710657
	knownID = "281474976710657"
)

var start = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

// endpoints returns every annotated method of the generated packages.
func endpoints(t testing.TB) []*endpoint.Endpoint {
	t.Helper()
	var out []*endpoint.Endpoint
	protoregistry.GlobalFiles.RangeFiles(func(fd protoreflect.FileDescriptor) bool {
		out = append(out, endpointsIn(fd)...)
		return true
	})
	slices.SortFunc(out, func(a, b *endpoint.Endpoint) int { return strings.Compare(a.FullMethod, b.FullMethod) })
	if len(out) == 0 {
		t.Fatal("no annotated methods are linked in")
	}
	return out
}

// endpointsIn returns the annotated methods of one file, in its order.
func endpointsIn(fd protoreflect.FileDescriptor) []*endpoint.Endpoint {
	var out []*endpoint.Endpoint
	for i := range fd.Services().Len() {
		methods := fd.Services().Get(i).Methods()
		for j := range methods.Len() {
			md := methods.Get(j)
			if op, ok := proto.GetExtension(md.Options(), apiv1.E_Operation).(*apiv1.Operation); ok && op != nil {
				out = append(out, &endpoint.Endpoint{
					FullMethod: fmt.Sprintf("/%s/%s", md.Parent().FullName(), md.Name()), Method: md, Operation: op,
				})
			}
		}
	}
	return out
}

// clock is a clock that tests move by hand.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time { return start.Add(time.Duration(c.offset.Load())) }

func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// api is a client of one sandbox.
type api struct {
	server *httptest.Server
	clock  *clock
}

func serve(t testing.TB, change func(*sandbox.Config)) *api {
	t.Helper()
	a := &api{clock: &clock{}}
	config := sandbox.Config{Endpoints: endpoints(t), Token: token, Seed: 1, Now: a.clock.now}
	if change != nil {
		change(&config)
	}
	s, err := sandbox.New(config)
	if err != nil {
		t.Fatal(err)
	}
	a.server = httptest.NewServer(s)
	t.Cleanup(a.server.Close)
	return a
}

// answer is a reply that was read to its end.
type answer struct {
	status int
	header http.Header
	text   string
	err    error // of reading the body
}

// call sends a request; line is "GET /fleet/vehicles?limit=5", headers are name, value pairs.
func (a *api) call(t testing.TB, line, body string, headers ...string) answer {
	t.Helper()
	got, err := a.try(t, line, body, headers...)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return got
}

func (a *api) try(t testing.TB, line, body string, headers ...string) (answer, error) {
	t.Helper()
	verb, path, _ := strings.Cut(line, " ")
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), verb, a.server.URL+path, content)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := a.server.Client().Do(r)
	if err != nil {
		return answer{}, err
	}
	data, err := io.ReadAll(res.Body)
	if closeErr := res.Body.Close(); closeErr != nil {
		t.Errorf("%s: %v", line, closeErr)
	}
	return answer{status: res.StatusCode, header: res.Header, text: string(data), err: err}, nil
}

// get is a call that must succeed with a JSON document.
func (a *api) get(t testing.TB, line, body string, headers ...string) any {
	t.Helper()
	got := a.call(t, line, body, headers...)
	if got.status < 200 || got.status > 299 {
		t.Fatalf("%s %s = %d %s, want success", line, body, got.status, got.text)
	}
	return decode(t, got.text)
}

func decode(t testing.TB, text string) any {
	t.Helper()
	if text == "" {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("reply is not JSON: %v: %.200s", err, text)
	}
	return v
}

// at returns the value at a path of member names and indexes joined by dots.
func at(v any, path string) any {
	for step := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(in) {
				return nil
			}
			v = in[i]
		default:
			return nil
		}
	}
	return v
}

// column returns one member of every element of a list.
func column(v any, list, member string) []string {
	values, _ := at(v, list).([]any)
	out := make([]string, 0, len(values))
	for _, value := range values {
		out = append(out, fmt.Sprint(at(value, member)))
	}
	return out
}

func rule(fd protoreflect.FieldDescriptor) *apiv1.Field {
	if f, ok := proto.GetExtension(fd.Options(), apiv1.E_Field).(*apiv1.Field); ok && f != nil {
		return f
	}
	return &apiv1.Field{}
}

func wireName(fd protoreflect.FieldDescriptor) string {
	if name := rule(fd).GetName(); name != "" {
		return name
	}
	return fd.JSONName()
}

// exchange is a request that an operation declares to be right: all parameters and members
// that are required and, if full is set, every other one.
type exchange struct{ line, body string }

func requestFor(e *endpoint.Endpoint, full bool) exchange {
	path, query, body := e.Operation.GetPath(), url.Values{}, map[string]any{}
	for i := range e.Method.Input().Fields().Len() {
		fd := e.Method.Input().Fields().Get(i)
		name, f := wireName(fd), rule(fd)
		switch f.GetIn() {
		case apiv1.Location_LOCATION_PATH:
			path = strings.ReplaceAll(path, "{"+name+"}", pathValue(fd, name))
		case apiv1.Location_LOCATION_QUERY:
			cursor := name == "after" || name == "startingAfter" || name == "endingBefore"
			// One of placeId and externalId is required, which the document says in prose only.
			if !f.GetRequired() && (!full && name != "placeId" || cursor) {
				continue
			}
			v := fmt.Sprint(sampleOne(fd, full, 0))
			if name == "name" && f.GetRequired() {
				v = knownID
			}
			query.Set(name, v)
		case apiv1.Location_LOCATION_BODY:
			if f.GetRequired() || full {
				body[name] = sample(fd, full, 0)
			}
		default:
		}
	}
	if e.Operation.GetMethod() == apiv1.HttpMethod_HTTP_METHOD_PATCH && path == "/assets" {
		query.Set("id", strconv.Itoa(firstID+11)) // which is no trailer any more, nor equipment
	}
	x := exchange{line: strings.TrimPrefix(e.Operation.GetMethod().String(), "HTTP_METHOD_") + " " + path}
	if len(query) > 0 {
		x.line += "?" + query.Encode()
	}
	if len(body) > 0 || e.Operation.GetBody() == apiv1.Body_BODY_REQUIRED {
		data, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		// External ids are unique among records, usernames and licences among drivers.
		x.body = strings.ReplaceAll(string(data), `{"sampleKey":"text value"}`, `{"sampleKey":"text `+e.Operation.GetId()+`"}`)
		for _, name := range []string{"username", "licenseNumber"} {
			x.body = strings.ReplaceAll(x.body, `"text `+name+`"`, `"text `+e.Operation.GetId()+`"`)
		}
	}
	return x
}

func pathValue(fd protoreflect.FieldDescriptor, name string) string {
	switch name {
	case "pageNumber":
		return "1"
	case "started_at_ms":
		return strconv.FormatInt(start.UnixMilli(), 10)
	}
	return knownID
}

func sample(fd protoreflect.FieldDescriptor, full bool, depth int) any {
	switch {
	case fd.IsMap():
		return map[string]any{"sampleKey": sampleOne(fd.MapValue(), full, depth)}
	case fd.IsList():
		values := []any{}
		for range max(1, int(rule(fd).GetMinimum())) {
			values = append(values, sampleOne(fd, full, depth))
		}
		return values
	}
	return sampleOne(fd, full, depth)
}

func sampleOne(fd protoreflect.FieldDescriptor, full bool, depth int) any {
	f, name := rule(fd), wireName(fd)
	if allowed := f.GetValues(); len(allowed) > 0 {
		if fd.Kind() == protoreflect.StringKind {
			return allowed[0]
		}
		return json.Number(allowed[0])
	}
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return true
	case protoreflect.DoubleKind:
		return max(1.5, f.GetMinimum())
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		if (strings.HasSuffix(name, "Ms") || strings.HasSuffix(name, "_ms")) && f.Maximum == nil {
			return start.UnixMilli()
		}
		if lower := strings.ToLower(name); lower == "id" || strings.HasSuffix(lower, "id") || name == "driverIds" {
			return int64(firstID)
		}
		return int64(max(1, f.GetMinimum()))
	case protoreflect.MessageKind:
		return sampleMessage(fd.Message(), full, depth+1)
	default:
	}
	lower := strings.ToLower(name)
	switch {
	case f.GetFormat() == "date-time":
		return "2026-03-02T11:00:00Z"
	case f.GetFormat() == "date" || strings.HasSuffix(lower, "date"):
		return "2026-03-02"
	case strings.HasSuffix(lower, "time") || strings.HasSuffix(lower, "hour"):
		return "2026-03-02T11:00:00Z"
	case name == "parentTagId" || name == "parentId":
		return "" // none: all seeded ones are below the one that is asked about
	case slices.Contains([]string{"addresses", "assets", "drivers", "machines", "sensors", "vehicles"}, name) && fd.IsList():
		return knownID
	case name == "id" || strings.HasSuffix(name, "Id") || strings.HasSuffix(name, "ID") || strings.HasSuffix(lower, "ids"):
		return knownID
	}
	s := "text " + name
	if f.Maximum != nil && !fd.IsList() {
		s = s[:min(len(s), int(f.GetMaximum()))]
	}
	return s + strings.Repeat("x", max(0, int(f.GetMinimum())-len(s)))
}

func sampleMessage(md protoreflect.MessageDescriptor, full bool, depth int) any {
	switch md.FullName() {
	case "google.protobuf.ListValue":
		return []any{"free", "form"}
	case "google.protobuf.Value", "google.protobuf.Struct":
		return map[string]any{"free": "form"}
	}
	out := map[string]any{}
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		f := rule(fd)
		if f.GetRoot() {
			return sample(fd, full, depth)
		}
		if f.GetRequired() || full && depth < 4 && !f.GetRetired() {
			out[wireName(fd)] = sample(fd, full, depth)
		}
	}
	return out
}

// matches returns how a JSON value differs from what a message declares.
func matches(md protoreflect.MessageDescriptor, v any, path string) error {
	var errs []error
	fields := map[string]protoreflect.FieldDescriptor{}
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		if rule(fd).GetRoot() {
			return matchesField(fd, v, path)
		}
		fields[wireName(fd)] = fd
	}
	object, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: %T, want an object", path, v)
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		fd := fields[name]
		if fd == nil || rule(fd).GetRetired() {
			errs = append(errs, fmt.Errorf("%s.%s: not declared", path, name))
			continue
		}
		errs = append(errs, matchesField(fd, object[name], path+"."+name))
	}
	for name, fd := range fields {
		if _, ok := object[name]; !ok && (rule(fd).GetRequired() || rule(fd).GetAnswered()) {
			errs = append(errs, fmt.Errorf("%s.%s: required, not there", path, name))
		}
	}
	return errors.Join(errs...)
}

func matchesField(fd protoreflect.FieldDescriptor, v any, path string) error {
	switch {
	case fd.IsMap():
		values, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: %T, want a map", path, v)
		}
		var errs []error
		for k, value := range values {
			errs = append(errs, matchesOne(fd.MapValue(), value, path+"."+k))
		}
		return errors.Join(errs...)
	case fd.IsList():
		values, ok := v.([]any)
		if !ok {
			return fmt.Errorf("%s: %T, want a list", path, v)
		}
		var errs []error
		for i, value := range values {
			errs = append(errs, matchesOne(fd, value, fmt.Sprintf("%s[%d]", path, i)))
		}
		return errors.Join(errs...)
	}
	return matchesOne(fd, v, path)
}

func matchesOne(fd protoreflect.FieldDescriptor, v any, path string) error {
	ok := true
	switch fd.Kind() {
	case protoreflect.BoolKind:
		_, ok = v.(bool)
	case protoreflect.StringKind:
		s, isString := v.(string)
		// A required member that a client could have set and did not is empty.
		unset := (rule(fd).GetRequired() || rule(fd).GetAnswered()) && rule(fd).GetFormat() == ""
		ok = isString && (s != "" || unset || strings.HasSuffix(path, "Cursor") || slices.Contains(rule(fd).GetValues(), "")) && (len(rule(fd).GetValues()) == 0 || slices.Contains(rule(fd).GetValues(), s))
	case protoreflect.DoubleKind:
		_, ok = v.(json.Number)
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		n, isNumber := v.(json.Number)
		_, err := n.Int64()
		ok = isNumber && err == nil
	case protoreflect.MessageKind:
		switch fd.Message().FullName() {
		case "google.protobuf.Value":
			ok = true
		case "google.protobuf.Struct":
			_, ok = v.(map[string]any)
		case "google.protobuf.ListValue":
			_, ok = v.([]any)
		default:
			return matches(fd.Message(), v, path)
		}
	default:
	}
	if !ok {
		return fmt.Errorf("%s: %T %v, want %s %q", path, v, v, fd.Kind(), rule(fd).GetValues())
	}
	return nil
}
