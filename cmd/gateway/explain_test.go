package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/structpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/explain"
	"samsara.internal/gateway/internal/testenv"
	"samsara.internal/gateway/internal/transcode"
)

// explained is an upstream that records requests in the form of explain. Every second answer says that no
// page follows.
type explained struct {
	token string

	mu   sync.Mutex
	seen []explain.Request
	// records is the rest of a page, such as "data": [{}].
	records string
}

func (s *explained) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	got := explain.Request{Method: r.Method, URL: "http://" + r.Host + r.RequestURI, Body: string(body)}
	for name, values := range r.Header {
		if name == "X-Request-Id" { // It is another one for each call.
			continue
		}
		for _, value := range values {
			got.Headers = append(got.Headers, explain.Header{Name: name, Value: strings.ReplaceAll(value, s.token, explain.Token)})
		}
	}
	slices.SortFunc(got.Headers, func(a, b explain.Header) int { return strings.Compare(a.Name, b.Name) })
	s.mu.Lock()
	s.seen = append(s.seen, got)
	answer := fmt.Sprintf(`{%s"pagination": {"endCursor": "CURSOR%d", "hasNextPage": %t}}`, s.records, len(s.seen), len(s.seen)%2 == 1)
	s.mu.Unlock()
	answerWith(http.StatusOK, answer)(w, r)
}

// answerWithRecords puts one record into the pages of an operation, because a follower waits after an empty
// page.
func (s *explained) answerWithRecords(e *endpoint.Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, ends := "", ""
	md := e.Method.Output()
	for name := range strings.SplitSeq(e.Operation.GetItems(), ".") {
		fd := md.Fields().ByName(protoreflect.Name(name))
		md = fd.Message()
		switch text += `"` + transcode.WireName(fd) + `": `; {
		case !fd.IsList():
			text, ends = text+"{", "}"+ends
		case md == nil:
			text += `["record"]`
		default:
			text += "[{}]"
		}
	}
	s.records = text + ends + ", "
}

// take returns the requests since the last take.
func (s *explained) take() []explain.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen = nil
	return seen
}

// fill sets the required fields of a request. If all, it sets all fields except cursors, to the second
// level of messages.
func fill(m protoreflect.Message, all bool, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		options := transcode.FieldOptions(fd)
		inPath := options.GetIn() == apiv1.Location_LOCATION_PATH
		if options.GetRetired() || !options.GetRequired() && !inPath && (!all || depth > 1) {
			continue
		}
		switch transcode.WireName(fd) {
		case "after", "startingAfter", "endingBefore":
			continue
		}
		switch {
		case options.GetIn() == apiv1.Location_LOCATION_UPDATE_MASK:
		case fd.IsMap():
			entries := m.Mutable(fd).Map()
			value := entries.NewValue()
			switch {
			case fd.MapValue().Message() == nil:
				value = someValue(fd.MapValue(), "v")
			case fd.MapValue().Message().FullName() == "google.protobuf.Value":
				value = protoreflect.ValueOfMessage(structpb.NewNumberValue(1.5).ProtoReflect())
			}
			entries.Set(protoreflect.ValueOfString("k\"é").MapKey(), value)
		case fd.IsList() && fd.Message() != nil && fd.Message().FullName().Parent() == "google.protobuf":
		case fd.IsList() && fd.Message() != nil:
			fill(m.Mutable(fd).List().AppendMutable().Message(), all, depth+1)
		case fd.IsList():
			list := m.Mutable(fd).List()
			list.Append(someValue(fd, "z, é"))
			list.Append(someValue(fd, "a&b=c#"))
		case fd.Message() != nil && fd.Message().FullName() == "google.protobuf.Value":
			m.Set(fd, protoreflect.ValueOfMessage(structpb.NewStringValue("free").ProtoReflect()))
		case fd.Message() != nil:
			fill(m.Mutable(fd).Message(), all, depth+1)
		case transcode.WireName(fd) == "pageNumber":
			m.Set(fd, protoreflect.ValueOfString("7"))
		default:
			m.Set(fd, someValue(fd, "it's /a \"b\" <é>"))
		}
	}
}

func someValue(fd protoreflect.FieldDescriptor, text string) protoreflect.Value {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(len(text)))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(len(text)))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(0.5)
	default:
		return protoreflect.ValueOfString(text)
	}
}

// messageOf returns a new message of the type that the client of the gateway sends.
func messageOf(t *testing.T, md protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	mt, err := protoregistry.GlobalTypes.FindMessageByName(md.FullName())
	if err != nil {
		t.Fatal(err)
	}
	return mt.New().Interface()
}

// explainer explains calls as the command does, for a gateway with some arguments whose build has a
// version.
type explainer struct {
	*explain.Explainer
	endpoints []*endpoint.Endpoint
	version   string
}

func explainerOf(t *testing.T, args ...string) *explainer {
	t.Helper()
	endpoints, err := loadEndpoints()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.LoadExplain(args, nil, apiOf(endpoints))
	if err != nil {
		t.Fatal(err)
	}
	version, err := output(t, "gateway", "version")
	if err != nil {
		t.Fatal(err)
	}
	x, stop, err := newExplainer(&cfg, endpoints)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return &explainer{x, endpoints, strings.Fields(version)[1]}
}

// explain explains a call of a method with a message.
func (x *explainer) explain(t *testing.T, method string, in proto.Message) (*explain.Plan, error) {
	t.Helper()
	request, err := protojson.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := x.Explain(t.Context(), method, request)
	if err != nil {
		return nil, err
	}
	for i, h := range plan.Request.Headers {
		if h.Name == "User-Agent" {
			plan.Request.Headers[i].Value = strings.Replace(h.Value, readBuild().Version, x.version, 1)
		}
	}
	return plan, nil
}

// TestExplain_everyMethod calls every method of a real gateway with a minimal and a large request. It
// compares the upstream requests with those of explain, and those for the second page of a stream.
func TestExplain_everyMethod(t *testing.T) {
	t.Parallel()
	testenv.Processes(t)
	samsara := &explained{token: upstreamToken}
	at := serveHTTP(t, samsara) + "/below/a%20path"
	args := []string{"--quota=false", "--api-version=2024-01-31", "--upstream-gzip"}
	conn := connect(t, startAgainst(t, at, args...).GRPC, insecure.NewCredentials())
	x := explainerOf(t, append(args, "--upstream-url=http://"+at)...)
	compared := 0
	for _, e := range x.endpoints {
		for _, all := range []bool{false, true} {
			in := messageOf(t, e.Method.Input())
			fill(in.ProtoReflect(), all, 0)
			plan, err := x.explain(t, e.FullMethod, in)
			if err != nil {
				t.Fatalf("%s: %v", e.FullMethod, err)
			}
			// The call may fail, because the answer does not fit every method.
			_ = conn.Invoke(t.Context(), e.FullMethod, in, messageOf(t, e.Method.Output()))
			if diff := cmp.Diff([]explain.Request{*plan.Request}, samsara.take()); diff != "" {
				t.Errorf("%s (-explained +asked):\n%s", e.FullMethod, diff)
			}
			compared++
		}
		for _, s := range e.Streams {
			compareStream(t, conn, x, samsara, s)
			compared++
		}
	}
	t.Logf("%d calls compared", compared)
	if compared < 2*387+153 {
		t.Errorf("%d calls were compared, want at least %d", compared, 2*387+153)
	}
}

// compareStream reads two pages of a stream and compares the requests for them.
func compareStream(t *testing.T, conn *grpc.ClientConn, x *explainer, samsara *explained, s *endpoint.Stream) {
	t.Helper()
	samsara.answerWithRecords(s.Pages)
	in := messageOf(t, s.Method.Input())
	m := in.ProtoReflect()
	inner := m.Mutable(m.Descriptor().Fields().ByName("request")).Message()
	fill(inner, false, 0)
	for i := range inner.Descriptor().Fields().Len() {
		switch fd := inner.Descriptor().Fields().Get(i); {
		case transcode.WireName(fd) != "endTime" || transcode.FieldOptions(fd).GetRetired():
		case s.Follow: // A followed feed must not have an end.
			inner.Clear(fd)
		default: // Some operations require an end.
			inner.Set(fd, protoreflect.ValueOfString("2026-01-01T00:00:00Z"))
		}
	}
	options := m.Mutable(m.Descriptor().Fields().ByName("options")).Message()
	pages := options.Descriptor().Fields().ByName("max_pages")
	options.Set(pages, protoreflect.ValueOfInt64(2))
	if pages.Kind() == protoreflect.Int32Kind {
		options.Set(pages, protoreflect.ValueOfInt32(2))
	}
	plan, err := x.explain(t, s.FullMethod, in)
	if err != nil {
		t.Fatalf("%s: %v", s.FullMethod, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, s.FullMethod)
	if err == nil {
		err = errors.Join(stream.SendMsg(in), stream.CloseSend())
	}
	for err == nil {
		err = stream.RecvMsg(messageOf(t, s.Method.Output()))
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("%s: %v", s.FullMethod, err)
	}
	next := *plan.Request
	next.URL = plan.Walk.NextURL
	want, got := []explain.Request{*plan.Request, next}, samsara.take()
	for i := range got {
		got[i].URL = strings.Replace(got[i].URL, "CURSOR1", "CURSOR", 1)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-explained +asked):\n%s", s.FullMethod, diff)
	}
}

// TestExplain_violationsAsTheGateway compares the violations that explain and the gateway find in a
// request.
func TestExplain_violationsAsTheGateway(t *testing.T) {
	t.Parallel()
	_, at := startSandboxed(t)
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	x := explainerOf(t)
	for _, test := range []struct{ method, request string }{
		{"samsara_gateway.tags.v1.TagsService/GetTag", `{}`},
		{"samsara_gateway.tags.v1.TagsService/GetTag", `{"id": "%2e%2E"}`},
		{"samsara_gateway.drivers.v1.DriversService/CreateDriver", `{"name": "a"}`},
		{"samsara_gateway.contacts.v1.ContactsService/UpdateContact", `{"id": "1", "updateMask": "fristName,nope"}`},
		{"samsara_gateway.contacts.v1.ContactsService/UpdateContact", `{"id": "1", "updateMask": "phnoe"}`},
		{"samsara_gateway.drivers.v1.DriversService/ListDrivers", `{"updatedAfterTime": "` + strings.Repeat("long", 20_000) + `"}`},
		{"samsara_gateway.alerts.v1.AlertsService/CreateConfigurations", `{"triggers": [{}, {"triggerTypeId": "1"}], "actions": [{}]}`},
	} {
		var md protoreflect.MethodDescriptor
		for _, e := range x.endpoints {
			if e.FullMethod == "/"+test.method {
				md = e.Method
			}
		}
		in := messageOf(t, md.Input())
		if err := protojson.Unmarshal([]byte(test.request), in); err != nil {
			t.Fatal(err)
		}
		err := conn.Invoke(t.Context(), "/"+test.method, in, messageOf(t, md.Output()))
		var want []endpoint.Violation
		for _, detail := range status.Convert(err).Details() {
			if bad, ok := detail.(*errdetails.BadRequest); ok {
				for _, v := range bad.GetFieldViolations() {
					want = append(want, endpoint.Violation{Field: v.GetField(), Description: v.GetDescription()})
				}
			}
		}
		_, err = x.explain(t, test.method, in)
		var refused *explain.RefusedError
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", test.method, err)
			continue
		}
		if diff := cmp.Diff(want, refused.Violations); diff != "" || len(want) == 0 {
			t.Errorf("%s %.99s (-gateway +explain):\n%s", test.method, test.request, diff)
		}
	}
}

// TestExplain_updateMasksOfGrpcurl has grpcurl send update masks, and explains the same JSON.
func TestExplain_updateMasksOfGrpcurl(t *testing.T) {
	t.Parallel()
	testenv.Processes(t)
	grpcurl := testenv.Tool(t, "grpcurl")
	samsara := &explained{token: upstreamToken}
	at := serveHTTP(t, samsara)
	args := []string{"--quota=false"}
	gateway := startAgainst(t, at, args...).GRPC
	x := explainerOf(t, append(args, "--upstream-url=http://"+at)...)
	const method = "samsara_gateway.contacts.v1.ContactsService/UpdateContact"
	for _, request := range []string{
		`{"id": "1", "firstName": "Ada", "updateMask": {"paths": ["first_name", "phone"]}}`,
		`{"id": "1", "firstName": "Ada", "update_mask": {"paths": ["firstName", "phone"]}}`,
		`{"id": "1", "firstName": "Ada", "updateMask": {"paths": []}}`,
		`{"id": "1", "firstName": "Ada", "updateMask": {}}`,
	} {
		// The answer is not a contact, so the call fails.
		out, _ := exec.CommandContext(t.Context(), grpcurl, "-plaintext", "-d", request, gateway, method).CombinedOutput()
		seen := samsara.take()
		plan, err := x.Explain(t.Context(), method, []byte(request))
		if err != nil || len(seen) != 1 {
			t.Errorf("%s: grpcurl made %d requests: %s; explain says %v", request, len(seen), out, err)
			continue
		}
		if plan.Request.Body != seen[0].Body || plan.Request.Method != seen[0].Method || plan.Request.URL != seen[0].URL {
			t.Errorf("%s: grpcurl sent %s %s %s, explain says %s %s %s", request,
				seen[0].Method, seen[0].URL, seen[0].Body, plan.Request.Method, plan.Request.URL, plan.Request.Body)
		}
	}
}

// TestExplain_curlMakesTheRequest runs the command lines in a shell, and compares the requests that curl
// sends.
func TestExplain_curlMakesTheRequest(t *testing.T) {
	t.Parallel()
	curl := testenv.Tool(t, "curl")
	const token = "to$ken'\"`\\"
	samsara := &explained{token: token}
	url := "http://" + serveHTTP(t, samsara) + "/a[1]"
	for name, test := range map[string]struct {
		method, request string
		args            []string
	}{
		"read":             {"ListTags", `{"limit": 2}`, nil},
		"compressed":       {"ListTags", ``, []string{"--upstream-gzip"}},
		"path and query":   {"GetVehicle", `{"id": "it's a:$HOME/\"*?[1-3]{a,b}` + "`id`" + `\\\n!"}`, nil},
		"body":             {"CreateTag", `{"name": "it's $HOME, $(id), ` + "`id`" + `, \"q\" \\ \n\t\u0000 é % %s !! #"}`, nil},
		"body and mask":    {"UpdateContact", `{"id": "1", "firstName": "", "updateMask": "firstName,phone"}`, nil},
		"write, no body":   {"DELETE /tags/1", `{"id": "1"}`, nil},
		"post, no body":    {bodiless(t), ``, nil},
		"stream":           {"StreamTags", ``, nil},
		"followed":         {"FollowVehicleStats", `{"request": {"types": ["gps", "engineStates"]}, "options": {"fromCursor": "a+b/c="}}`, nil},
		"an empty message": {"CreateTag", `{"name": ""}`, nil},
	} {
		args := append(test.args, "--upstream-url="+url)
		command, err := output(t, "gateway", append([]string{"explain", "--curl", test.method, test.request}, args...)...)
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, command)
		}
		sh := exec.CommandContext(t.Context(), "sh", "-e", "-c", command)
		sh.Env = []string{"PATH=" + filepath.Dir(curl) + string(os.PathListSeparator) + os.Getenv("PATH"), "SAMSARA_API_TOKEN=" + token}
		if out, err := sh.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s\n%s", name, err, out, command)
		}
		text, err := output(t, "gateway", append([]string{"explain", "--json", test.method, test.request}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		var plan explain.Plan
		if err := json.Unmarshal([]byte(text), &plan); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]explain.Request{*plan.Request}, samsara.take()); diff != "" {
			t.Errorf("%s (-explained +curl):\n%s\n%s", name, diff, command)
		}
	}
}

// bodiless returns a method that sends a POST without a body.
func bodiless(t *testing.T) string {
	t.Helper()
	endpoints, err := loadEndpoints()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range endpoints {
		in := messageOf(t, e.Method.Input())
		if bound, err := e.Bind(in.ProtoReflect()); e.HTTPMethod == http.MethodPost && err == nil && bound.Body == nil {
			return e.FullMethod
		}
	}
	t.Fatal("no method sends a POST without a body")
	return ""
}

// TestExplain_curlAsksTheSandbox runs a command line against the sandbox.
func TestExplain_curlAsksTheSandbox(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "curl")
	_, flags := startSandbox(t)
	command, err := output(t, "gateway", "explain", "--curl", flags[0], "UpdateContact",
		`{"id": "281474976710657", "firstName": "Ada's", "updateMask": "firstName"}`)
	if err != nil {
		t.Fatal(err)
	}
	sh := exec.CommandContext(t.Context(), "sh", "-c", command)
	sh.Env = []string{"PATH=" + os.Getenv("PATH"), "SAMSARA_API_TOKEN=open"}
	out, err := sh.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, command)
	}
	if got := member(t, parseJSON(t, string(out)), "data.firstName"); got != "Ada's" {
		t.Errorf("firstName is %v in %s", got, out)
	}
}
