package fleet_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/surface"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/transcode"
)

func method(t *testing.T, o surface.Operation) surface.Method {
	t.Helper()
	m, err := surface.Local(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestDecoder_agreesWithProtojson(t *testing.T) {
	t.Parallel()
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		t.Fatal(err)
	}
	decoder := endpoint.Find(endpoints, "GET", fleet.Stats.Path()).Response
	stats := method(t, fleet.Stats)
	for _, order := range []fleet.Order{fleet.Declared, fleet.Shuffled} {
		body := fleet.Body{Bytes: 50 << 10, Order: order}
		var drift transcode.Drift
		wire, err := decoder.Append(nil, body.JSON(), &drift)
		if err != nil {
			t.Fatal(err)
		}
		if f := drift.Findings(); len(f) != 1 || f[0].Kind != transcode.Unknown || f[0].Member != "_links" {
			t.Errorf("%s: findings %v, want the unknown _links alone", order, f)
		}
		want, err := stats.Answer(body.JSON())
		if err != nil {
			t.Fatal(err)
		}
		got, err := stats.Decode(wire)
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(got, want) {
			t.Errorf("%s: the gateway and protojson read it differently", order)
		}
	}
}

func TestBody_length(t *testing.T) {
	t.Parallel()
	for _, size := range []int{2 << 10, 50 << 10, 1 << 20} {
		got := len(fleet.Body{Bytes: size, Order: fleet.Declared}.JSON())
		if got < size || got > size+1500 {
			t.Errorf("an answer for %d bytes has %d", size, got)
		}
	}
}

func TestBody_shuffledMembers(t *testing.T) {
	t.Parallel()
	declared := fleet.Body{Bytes: 2 << 10, Order: fleet.Declared}.JSON()
	shuffled := fleet.Body{Bytes: 2 << 10, Order: fleet.Shuffled}.JSON()
	if bytes.Equal(declared, shuffled) {
		t.Fatal("both orders are the same")
	}
	canonical := func(b []byte) string {
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if canonical(declared) != canonical(shuffled) {
		t.Error("the orders differ in more than order")
	}
}

func TestBody_declaredOrder(t *testing.T) {
	t.Parallel()
	var doc struct{ Data []json.RawMessage }
	if err := json.Unmarshal(fleet.Body{Order: fleet.Declared}.JSON(), &doc); err != nil {
		t.Fatal(err)
	}
	fields := method(t, fleet.Stats).Output.Descriptor().Fields().ByJSONName("data").Message().Fields()
	decoder := json.NewDecoder(bytes.NewReader(doc.Data[0]))
	if _, err := decoder.Token(); err != nil {
		t.Fatal(err)
	}
	last := -1
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		name, ok := token.(string)
		if !ok {
			t.Fatalf("token %v, want the name of a member", token)
		}
		var skipped json.RawMessage
		if err := decoder.Decode(&skipped); err != nil {
			t.Fatal(err)
		}
		if name == "_links" {
			continue
		}
		field := fields.ByJSONName(name)
		if field == nil || field.Index() < last {
			t.Fatalf("member %q is not declared, or is declared before the member that it follows", name)
		}
		last = field.Index()
	}
}

func TestParseCursor_namesItsBody(t *testing.T) {
	t.Parallel()
	want := fleet.Body{Bytes: 12345, Order: fleet.Shuffled}
	if got, err := fleet.ParseCursor(want.Cursor()); err != nil || got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, cursor := range []string{"", "declared", "declared-", "declared--1", "declared-99999999999", "sorted-5"} {
		if _, err := fleet.ParseCursor(cursor); err == nil {
			t.Errorf("cursor %q is accepted", cursor)
		}
	}
}

func TestRoute_size(t *testing.T) {
	t.Parallel()
	route := fleet.Route(50 << 10)
	var doc struct{ Stops []json.RawMessage }
	if err := json.Unmarshal(route, &doc); err != nil {
		t.Fatal(err)
	}
	if n := len(doc.Stops); len(route) < 50<<10 || n < 50 || n > 150 {
		t.Errorf("%d bytes with %d stops, want 50 KB in 50 to 150", len(route), n)
	}
	if _, err := method(t, fleet.UpdateRoute).Request(route); err != nil {
		t.Error(err)
	}
}

func TestFeedPage_sameLengthAtEveryTick(t *testing.T) {
	t.Parallel()
	now := fleet.TickAt(time.Now())
	page := fleet.FeedPage(now)
	if later := fleet.FeedPage(now + 3); len(later) != len(page) || bytes.Equal(later, page) {
		t.Errorf("pages of %d and %d bytes, want different pages of the same length", len(page), len(later))
	}
	if got, err := fleet.ParseTick(now.Cursor()); err != nil || got != now {
		t.Errorf("tick %d, %v, want %d", got, err, now)
	}
	answer, err := method(t, fleet.Feed).Answer(page)
	if err != nil {
		t.Fatal(err)
	}
	// Unknown members would not be delivered.
	if n := proto.Size(answer); n < len(page)/3 {
		t.Errorf("a page of %d bytes has %d bytes on the wire, want at least a third", len(page), n)
	}
}
