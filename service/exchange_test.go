package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "samsara.internal/gateway/gen"
	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/gen/surface"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/sandbox"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/service"
	"samsara.internal/gateway/upstream"
)

var update = flag.Bool("update", false, "rewrite the golden exchanges")

const (
	// exchangeToken is the sandbox's; no golden file may hold it.
	exchangeToken = "exchange-token"
	// seededID is a record that every collection of the sandbox has.
	seededID = 281474976710657
)

// exchangeTime is the sandbox's clock.
func exchangeTime() time.Time { return time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC) }

// TestExchange_everyOperation calls each operation through a real server, the
// real client and a sandbox, with every field of the request set, and compares what went over
// HTTP and what came back over gRPC with testdata/exchanges.
func TestExchange_everyOperation(t *testing.T) {
	t.Parallel()
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		t.Fatal(err)
	}
	var of struct{ Methods struct{ Unary int } }
	if err := json.Unmarshal([]byte(surface.JSON), &of); err != nil {
		t.Fatal(err)
	}
	if len(endpoints) == 0 || len(endpoints) != of.Methods.Unary {
		t.Errorf("%d annotated methods, want the %d of SURFACE.json", len(endpoints), of.Methods.Unary)
	}
	want := map[string]bool{}
	reading := startExchange(t, endpoints)
	for _, e := range endpoints {
		name := filepath.Join("testdata", "exchanges", strings.ReplaceAll(e.FullMethod[1:], "/", ".")+".txt")
		want[name] = true
		// Reads take turns on one sandbox: a sandbox for each would take longer.
		t.Run(e.FullMethod[1:], func(t *testing.T) {
			on := reading
			if e.HTTPMethod != http.MethodGet {
				t.Parallel()
				if testing.Short() {
					t.Skip("makes a sandbox of its own, as all that write do: make test")
				}
				on = startExchange(t, endpoints)
			}
			compareGolden(t, name, on.call(t, e))
		})
	}
	got, err := filepath.Glob(filepath.Join("testdata", "exchanges", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range got {
		if !want[name] {
			t.Errorf("%s belongs to no operation", name)
		}
	}
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// exchange is a sandbox and a gateway in front of it, for one call at a time.
type exchange struct {
	*recorder
	conn *grpc.ClientConn
}

// call calls one operation and returns what was exchanged as text: with every field of the request set or, if
// that selects no record of a list, with only the required ones.
func (x *exchange) call(t *testing.T, e *endpoint.Endpoint) string {
	t.Helper()
	text := x.callWith(t, e, func(protoreflect.FieldDescriptor) bool { return true })
	if strings.Contains(text, `"data":[]`) {
		text += "\n" + x.callWith(t, e, func(fd protoreflect.FieldDescriptor) bool { return transcode.FieldOptions(fd).GetRequired() })
	}
	return text
}

// callWith calls one operation with some of its request's fields set.
func (x *exchange) callWith(t *testing.T, e *endpoint.Endpoint, sets func(protoreflect.FieldDescriptor) bool) string {
	t.Helper()
	x.reset()
	request := e.Input.New()
	fillRequest(request, sets)
	mt, err := protoregistry.GlobalTypes.FindMessageByName(e.Method.Output().FullName())
	if err != nil {
		t.Fatal(err)
	}
	reply := mt.New().Interface()

	var header, trailer metadata.MD
	if err := x.conn.Invoke(t.Context(), e.FullMethod, request.Interface(), reply, grpc.Header(&header), grpc.Trailer(&trailer)); err != nil {
		t.Fatalf("%v\n%s", err, x)
	}
	if drift := trailer.Get("samsara-drift"); len(drift) > 0 {
		t.Errorf("drift %q: the sandbox answers as the descriptor says", drift)
	}
	if got := header.Get("samsara-attempts"); len(got) != 1 || got[0] != "1" {
		t.Errorf("samsara-attempts = %q, want 1", got)
	}
	return x.String() + "\n# gRPC reply\n" + canonicalJSON(t, reply)
}

func startExchange(t *testing.T, endpoints []*endpoint.Endpoint) *exchange {
	t.Helper()
	box, err := sandbox.New(sandbox.Config{Endpoints: endpoints, Token: exchangeToken, Seed: 1, Now: exchangeTime})
	if err != nil {
		t.Fatal(err)
	}
	record := &recorder{next: box}
	samsara := httptest.NewServer(record)
	t.Cleanup(samsara.Close)
	base, err := url.Parse(samsara.URL)
	if err != nil {
		t.Fatal(err)
	}
	client, err := upstream.New(upstream.Config{
		BaseURL: base, Token: upstream.StaticToken(exchangeToken), APIVersion: "2025-10-23", UserAgent: "samsara-gateway/test",
		AttemptTimeout: time.Minute, MaxResponseBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler),
		Retry: upstream.RetryPolicy{MaxAttempts: 1, BaseDelay: time.Second, MaxDelay: time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	server, err := service.New(service.Config{Endpoints: endpoints, Upstream: client})
	if err != nil {
		t.Fatal(err)
	}
	listener := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient("passthrough:exchange", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return &exchange{record, conn}
}

// recorder writes down what passes through it.
type recorder struct {
	next http.Handler

	mu   sync.Mutex
	text bytes.Buffer
}

func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text.Reset()
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	r.next.ServeHTTP(answer, req)

	headers := req.Header.Clone()
	headers.Set("Authorization", strings.ReplaceAll(headers.Get("Authorization"), exchangeToken, "<token>"))
	if id := headers.Get("X-Request-Id"); len(id) != 32 { // It is another one each time.
		http.Error(w, "the request is named "+id, http.StatusBadRequest)
		return
	}
	headers.Del("X-Request-Id")
	var lines bytes.Buffer
	if err := headers.Write(&lines); err != nil { // in the order of names
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(&r.text, "# HTTP request\n%s %s\n%s", req.Method, req.RequestURI, strings.ReplaceAll(lines.String(), "\r", ""))
	if len(body) > 0 {
		fmt.Fprintf(&r.text, "\n%s\n", body)
	}
	fmt.Fprintf(&r.text, "\n# HTTP response\n%d %s\n%s\n", answer.Code, answer.Header().Get("Content-Type"), bytes.TrimSpace(answer.Body.Bytes()))
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	if _, err := w.Write(answer.Body.Bytes()); err != nil {
		fmt.Fprintf(&r.text, "not delivered: %v\n", err)
	}
}

// canonicalJSON gives protojson's output, whose spacing varies, one form.
func canonicalJSON(t *testing.T, m proto.Message) string {
	t.Helper()
	text, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		t.Fatal(err)
	}
	return out.String() + "\n"
}

// fillRequest sets the fields of a request that it is told to set. It never sets cursors, which no client can
// make up, and the update mask, without which the fields that are set are sent.
func fillRequest(m protoreflect.Message, sets func(protoreflect.FieldDescriptor) bool) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		switch transcode.WireName(fd) {
		case "after", "startingAfter", "endingBefore":
			continue
		}
		if transcode.FieldOptions(fd).GetIn() != apiv1.Location_LOCATION_UPDATE_MASK && sets(fd) {
			fillField(m, fd)
		}
	}
}

func fillField(m protoreflect.Message, fd protoreflect.FieldDescriptor) {
	options := transcode.FieldOptions(fd)
	switch {
	case options.GetRetired():
	case fd.IsMap():
		v := m.Mutable(fd).Map().NewValue()
		if fd.MapValue().Kind() == protoreflect.MessageKind {
			fillMessage(v.Message())
		} else {
			v = scalar(fd.MapValue(), &apiv1.Field{})
		}
		m.Mutable(fd).Map().Set(protoreflect.ValueOfString("crmId").MapKey(), v)
	case fd.IsList():
		list := m.Mutable(fd).List()
		for range max(1, int(options.GetMinimum())) {
			if fd.Kind() == protoreflect.MessageKind {
				fillMessage(list.AppendMutable().Message())
			} else {
				// Minimum and maximum of a list count its elements.
				list.Append(scalar(fd, &apiv1.Field{Values: options.GetValues(), Format: options.GetFormat()}))
			}
		}
	case fd.Kind() == protoreflect.MessageKind:
		fillMessage(m.Mutable(fd).Message())
	default:
		m.Set(fd, scalar(fd, options))
	}
}

func fillMessage(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	switch m.Descriptor().FullName() {
	case "google.protobuf.Value":
		m.Set(fields.ByName("string_value"), protoreflect.ValueOfString("free"))
	case "google.protobuf.ListValue", "google.protobuf.Struct":
	default:
		for i := range fields.Len() {
			fillField(m, fields.Get(i))
		}
	}
}

// scalar returns a value that the annotation allows. If it allows anything, the value is awkward to write.
func scalar(fd protoreflect.FieldDescriptor, options *apiv1.Field) protoreflect.Value {
	name := strings.ToLower(transcode.WireName(fd))
	inPath := options.GetIn() == apiv1.Location_LOCATION_PATH
	// Functions and their files are known by name, everything else by id.
	id := strings.HasSuffix(name, "id") || strings.HasSuffix(name, "ids") || inPath && name != "pagenumber" ||
		name == "name" && options.GetIn() == apiv1.Location_LOCATION_QUERY
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Int32Kind:
		if options.Maximum == nil {
			return protoreflect.ValueOfInt32(1)
		}
		return protoreflect.ValueOfInt32(int32(max(options.GetMinimum(), min(2, options.GetMaximum()))))
	case protoreflect.Int64Kind:
		switch {
		case options.Maximum != nil:
			return protoreflect.ValueOfInt64(int64(max(options.GetMinimum(), min(2, options.GetMaximum()))))
		case id:
			return protoreflect.ValueOfInt64(seededID)
		case strings.HasSuffix(name, "ms"):
			return protoreflect.ValueOfInt64(exchangeTime().UnixMilli())
		}
		return protoreflect.ValueOfInt64(int64(max(options.GetMinimum(), 1)))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(max(options.GetMinimum(), 0.5))
	default: // All others are strings.
	}
	switch {
	case len(options.GetValues()) > 0:
		return protoreflect.ValueOfString(options.GetValues()[0])
	case options.GetFormat() == "date-time" || strings.HasSuffix(name, "time"):
		return protoreflect.ValueOfString(exchangeTime().Add(-time.Hour).Format(time.RFC3339))
	case options.GetFormat() == "date" || strings.HasSuffix(name, "date"):
		return protoreflect.ValueOfString(exchangeTime().Format(time.DateOnly))
	case name == "parenttagid" || name == "parentid":
		return protoreflect.ValueOfString("") // none: all others of the sandbox are below the seeded one
	case id || fd.IsList() && slices.Contains([]string{"addresses", "assets", "drivers", "machines", "sensors", "vehicles"}, name):
		return protoreflect.ValueOfString(fmt.Sprint(seededID))
	case options.GetFormat() == "uuid":
		return protoreflect.ValueOfString("3f2504e0-4f89-41d3-9a0c-0305e82c3301")
	case name == "pagenumber":
		return protoreflect.ValueOfString("1")
	}
	text := "a/b, ü & 50%+\"\\"
	if short := int(options.GetMinimum()) - len(text); short > 0 {
		text += strings.Repeat("x", short)
	}
	if options.Maximum != nil && len(text) > int(options.GetMaximum()) {
		text = strings.Repeat("x", int(options.GetMaximum()))
	}
	return protoreflect.ValueOfString(text)
}
