package main

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"samsara.internal/gateway/internal/transcode"
)

// What a scrape as text may have at default flags after one call of each operation.
const (
	maxScrapeLines = 3000
	maxScrapeBytes = 400_000
)

// fillRequired sets the required fields of a request, so that Samsara is asked.
func fillRequired(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	if free := fields.ByName("string_value"); free != nil { // google.protobuf.Value
		m.Set(free, protoreflect.ValueOfString("free"))
		return
	}
	for i := range fields.Len() {
		fd := fields.Get(i)
		options := transcode.FieldOptions(fd)
		if !options.GetRequired() || options.GetRetired() || fd.IsMap() {
			continue
		}
		scalar := func(least float64) protoreflect.Value {
			switch fd.Kind() {
			case protoreflect.Int64Kind:
				return protoreflect.ValueOfInt64(int64(max(1, least)))
			case protoreflect.Int32Kind:
				return protoreflect.ValueOfInt32(int32(max(1, least)))
			case protoreflect.DoubleKind:
				return protoreflect.ValueOfFloat64(max(1, least))
			case protoreflect.BoolKind:
				return protoreflect.ValueOfBool(true)
			default: // All others are strings.
				return protoreflect.ValueOfString(append(options.GetValues(), "281474976710657")[0])
			}
		}
		switch message := fd.Kind() == protoreflect.MessageKind; {
		case fd.IsList() && message:
			fillRequired(m.Mutable(fd).List().AppendMutable().Message())
		case fd.IsList():
			for range max(1, int(options.GetMinimum())) {
				m.Mutable(fd).List().Append(scalar(0))
			}
		case message:
			fillRequired(m.Mutable(fd).Message())
		default:
			m.Set(fd, scalar(options.GetMinimum()))
		}
	}
}

// TestMetrics_scrapeIsBounded calls each operation once, so that Samsara is asked, and looks at the size of a scrape.
func TestMetrics_scrapeIsBounded(t *testing.T) {
	t.Parallel()
	_, at := startSandboxed(t)
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	endpoints, err := loadEndpoints()
	if err != nil {
		t.Fatal(err)
	}
	lines := func(prefix string) (n, bytes int) {
		_, text := get(t, "http://"+at.Admin+"/metrics", "")
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, prefix) && !strings.HasPrefix(line, "#") {
				n++
			}
		}
		return n, len(text)
	}
	began, _ := lines("")
	outcomes := make(map[codes.Code]int)
	for _, e := range endpoints {
		in := e.Input.New()
		fillRequired(in)
		out, err := protoregistry.GlobalTypes.FindMessageByName(e.Method.Output().FullName())
		if err != nil {
			t.Fatal(err)
		}
		outcomes[status.Code(conn.Invoke(withTimeout(t, patience), e.FullMethod, in.Interface(), out.New().Interface()))]++
	}
	if asked, _ := lines("samsara_gateway_operation_upstream_attempts_total"); asked != len(endpoints) {
		t.Errorf("Samsara was asked for %d operations, want %d", asked, len(endpoints))
	}
	n, bytes := lines("")
	t.Logf("%d operations, %v; %d lines at start, %d lines and %d bytes after", len(endpoints), outcomes, began, n, bytes)
	if n > maxScrapeLines || bytes > maxScrapeBytes {
		t.Errorf("a scrape has %d lines and %d bytes, want %d and %d at most", n, bytes, maxScrapeLines, maxScrapeBytes)
	}
}
