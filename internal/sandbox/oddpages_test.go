package sandbox_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/sandbox"
)

const vehicles = "/fleet/vehicles?limit=5"

func TestOddPages_eachKind(t *testing.T) {
	t.Parallel()
	type seen struct {
		Records int
		Null    bool
		More    bool
		Cursor  string // none, old for the one that was sent, else new
	}
	const feed = locations + "&startTime=2026-03-02T11:59:59Z"
	tests := map[string]struct {
		fault, target string
		first, second seen // the pages without a cursor, and with that of a true first page
	}{
		"a short page of a list":           {"page=short", vehicles, seen{3, false, true, "new"}, seen{3, false, true, "new"}},
		"a short page of a feed":           {"page=short", feed, seen{12, false, false, "new"}, seen{0, false, false, "old"}},
		"an empty page of a list":          {"page=empty", vehicles, seen{0, false, true, "new"}, seen{0, false, true, "new"}},
		"an empty page of a feed":          {"page=empty", feed, seen{0, false, true, "new"}, seen{0, false, true, "new"}},
		"null for no records":              {"page=null", feed, seen{12, false, false, "new"}, seen{0, true, false, "old"}},
		"a next page without a cursor":     {"page=no-cursor", vehicles, seen{5, false, true, "none"}, seen{5, false, true, "none"}},
		"a feed's too":                     {"page=no-cursor", feed, seen{12, false, true, "none"}, seen{0, false, true, "none"}},
		"a next page with the same cursor": {"page=same-cursor", vehicles, seen{5, false, true, "new"}, seen{5, false, true, "old"}},
		"and a feed's":                     {"page=same-cursor", feed, seen{12, false, true, "new"}, seen{0, false, true, "old"}},
	}
	a := serve(t, nil)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			see := func(after string) seen {
				p := a.page(t, tt.target, after, sandbox.FaultHeader, tt.fault)
				s := seen{Records: len(p.records), Null: p.isNull, More: p.more, Cursor: "new"}
				switch p.cursor {
				case "":
					s.Cursor = "none"
				case after:
					s.Cursor = "old"
				}
				return s
			}
			if diff := cmp.Diff(tt.first, see("")); diff != "" {
				t.Errorf("the first page (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.second, see(a.page(t, tt.target, "").cursor)); diff != "" {
				t.Errorf("the second page (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOddPages_cursorsOfEmptyPages(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	cursor, before := "", map[string]bool{"": true}
	for range 4 {
		cursor = a.page(t, vehicles, cursor, sandbox.FaultHeader, "page=empty").cursor
		if before[cursor] {
			t.Fatalf("cursor %s comes again", cursor)
		}
		before[cursor] = true
	}
	records, _ := a.read(t, vehicles, cursor)
	if got := len(records); got != 12 {
		t.Errorf("%d records behind the empty pages, want 12", got)
	}
}

func TestOddPages_sameCursor(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	first := a.page(t, vehicles, "", sandbox.FaultHeader, "page=same-cursor")
	again := a.page(t, vehicles, first.cursor)
	if diff := cmp.Diff(first.records, again.records); diff != "" {
		t.Errorf("records (-first +again):\n%s", diff)
	}
}

func TestOddPages_losesNoRecord(t *testing.T) {
	t.Parallel()
	a := serve(t, func(c *sandbox.Config) {
		c.Fleet = 50
		c.Faults = []sandbox.Fault{fault(t, "page=empty; share=0.3"), fault(t, "page=short; share=0.3"), fault(t, "page=null; share=0.3")}
	})
	listed, _ := a.read(t, vehicles, "")
	if diff := cmp.Diff(ids(1, 50), column(map[string]any{"data": listed}, "data", "id")); diff != "" {
		t.Errorf("the list (-want +got):\n%s", diff)
	}
	streamed, _ := a.read(t, "/assets/location-and-speed/stream?limit=20&startTime=2026-03-02T11:59:01Z", "")
	var got []report
	for _, r := range streamed {
		got = append(got, reportOf(t, r, "asset.id", "happenedAtTime"))
	}
	if diff := cmp.Diff(reports(50, start.Add(-55*time.Second), start), got, cmp.AllowUnexported(report{})); diff != "" {
		t.Errorf("the stream (-want +got):\n%.1000s", diff)
	}
}

func TestOddPages_withoutCursor(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	for _, line := range []string{"GET /v1/fleet/assets", "GET /fleet/vehicles/" + knownID, "GET /beta/aemp/Fleet/1"} {
		want, got := a.get(t, line, ""), a.get(t, line, "", sandbox.FaultHeader, "page=empty")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
}
