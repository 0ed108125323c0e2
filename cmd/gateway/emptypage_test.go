package main

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	aempv1 "samsara.internal/gateway/gen/aemp/v1"
	apiv1 "samsara.internal/gateway/gen/api/v1"
	locationandspeedv1 "samsara.internal/gateway/gen/location_and_speed/v1"
	reportsv1 "samsara.internal/gateway/gen/reports/v1"
	tagsv1 "samsara.internal/gateway/gen/tags/v1"
)

// pagesByCursor answers with the page of the cursor in the request. It knows no other paths or cursors.
func pagesByCursor(pages map[string]string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, ok := pages[r.URL.Query().Get("after")]
		if !ok {
			answerWith(http.StatusNotFound, `{"message": "No such page."}`)(w, r)
			return
		}
		answerWith(http.StatusOK, page)(w, r)
	})
}

// TestStream_pageWithoutRecords has pages that lose their records to drift. The stream sends such a page,
// or reports its drift. It does not skip the page in silence.
func TestStream_pageWithoutRecords(t *testing.T) {
	t.Parallel()
	const rest = `"pagination": {"endCursor": "b", "hasNextPage": true}}`
	for name, test := range map[string]struct {
		page  string
		sent  bool
		drift string
	}{
		"nothing is lost":                       {page: `{"data": [], ` + rest},
		"an object for the list":                {`{"data": {"id": "2"}, ` + rest, true, "ListTagsResponse.data=mismatch"},
		"texts for records":                     {`{"data": ["2"], ` + rest, true, "ListTagsResponse.data=mismatch"},
		"nulls for records":                     {`{"data": [null, null], ` + rest, true, "ListTagsResponse.data=null_entry;n=2"},
		"the list twice":                        {`{"data": [], "data": [{"id": "2"}], ` + rest, true, "ListTagsResponse.data=duplicate"},
		"another name for the list":             {page: `{"data": [], "tags": [{"id": "2"}], ` + rest, drift: "ListTagsResponse.tags=unknown"},
		"another name, and no list of ours":     {page: `{"tags": [{"id": "2"}], ` + rest, drift: "ListTagsResponse.tags=unknown"},
		"a number for what it says of the page": {page: `{"data": [], "pagination": {"endCursor": "b", "hasNextPage": "true"}}`, drift: "Pagination.hasNextPage=coerced"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, _ := connectBefore(t, pagesByCursor(map[string]string{
				"":  `{"data": [{"id": "1"}], "pagination": {"endCursor": "a", "hasNextPage": true}}`,
				"a": test.page,
				"b": `{"data": [{"id": "3"}], "pagination": {"endCursor": "", "hasNextPage": false}}`,
			}), "--quota=false")
			stream, err := tagsv1.NewTagsServiceClient(conn).StreamTags(waiting(t), &tagsv1.StreamTagsRequest{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for {
				m, err := stream.Recv()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				ids := []string{m.GetCursor()}
				for _, tag := range m.GetPage().GetData() {
					ids = append(ids, tag.GetId())
				}
				got = append(got, strings.Join(ids, " "))
			}
			want := []string{"a 1", " 3"}
			if test.sent {
				want = []string{"a 1", "b", " 3"}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("cursors and records (-want +got):\n%s", diff)
			}
			if got := strings.Join(stream.Trailer().Get("samsara-drift"), " "); got != test.drift {
				t.Errorf("samsara-drift = %q, want %q", got, test.drift)
			}
		})
	}
}

// TestStream_numberedPageWithoutRecords has a page without records in a list whose pages have numbers. Such
// a list ends with an empty page. A page that may have lost its records is not taken for the end.
func TestStream_numberedPageWithoutRecords(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		page string
		ends bool
	}{
		"an empty list":             {page: `{"Fleet": {"Equipment": [], "Links": []}}`, ends: true},
		"an empty list, and a text": {page: `{"Fleet": {"Equipment": [], "version": "1", "zzz": 1}}`, ends: true},
		"a text for the list":       {page: `{"Fleet": {"Equipment": "x", "Links": []}}`},
		"nulls for records":         {page: `{"Fleet": {"Equipment": [null], "Links": []}}`},
		"nothing":                   {page: `{}`},
		"null for what it holds":    {page: `{"Fleet": null}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, _ := connectBefore(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				page := `{"Fleet": {"Equipment": [{"EquipmentHeader": {"EquipmentID": "e"}}], "Links": []}}`
				if strings.HasSuffix(r.URL.Path, "/2") {
					page = test.page
				}
				answerWith(http.StatusOK, page)(w, r)
			}), "--quota=false")
			first := "1"
			stream, err := aempv1.NewAempServiceClient(conn).StreamAempEquipmentList(waiting(t),
				&aempv1.StreamAempEquipmentListRequest{Request: &aempv1.ListAempEquipmentListRequest{PageNumber: &first}})
			if err != nil {
				t.Fatal(err)
			}
			m, err := stream.Recv()
			if err != nil || len(m.GetPage().GetFleet().GetEquipment()) != 1 || m.GetCursor() != "2" {
				t.Fatalf("got %v and %v, want a page with one record and the cursor 2", m, err)
			}
			for err == nil {
				_, err = stream.Recv()
			}
			switch v := verdictOf(err); {
			case test.ends && !errors.Is(err, io.EOF):
				t.Errorf("the stream ended with %v, want OK", v)
			case !test.ends && (v.reason != "UPSTREAM_PAGINATION_INVALID" || !slices.Equal(stream.Trailer().Get("samsara-cursor"), []string{"2"})):
				t.Errorf("the stream ended with %v and the cursor %q, want UPSTREAM_PAGINATION_INVALID and 2", v, stream.Trailer().Get("samsara-cursor"))
			}
		})
	}
}

// TestStream_statusWithoutRecords reads a report that failed: its page has a status and no rows.
func TestStream_statusWithoutRecords(t *testing.T) {
	t.Parallel()
	conn, _ := connectBefore(t, pagesByCursor(map[string]string{
		"": `{"data": {"status": "failed", "columns": [], "rows": []}, "pagination": {"endCursor": "", "hasNextPage": false}}`,
	}), "--quota=false")
	id := "1"
	stream, err := reportsv1.NewReportsServiceClient(conn).StreamReportRunData(waiting(t),
		&reportsv1.StreamReportRunDataRequest{Request: &reportsv1.ListReportRunDataRequest{Id: &id}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.Recv()
	if err != nil || m.GetPage().GetData().GetStatus() != "failed" {
		t.Errorf("got %v and %v, want the status", m, err)
	}
	if m, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v and %v after the page, want the end", m, err)
	}
}

// TestFollow_pageWithoutRecords follows a feed that goes on after a page that lost its records.
func TestFollow_pageWithoutRecords(t *testing.T) {
	t.Parallel()
	conn, _ := connectBefore(t, pagesByCursor(map[string]string{
		"":  `{"data": [{"happenedAtTime": "1"}], "pagination": {"endCursor": "a", "hasNextPage": true}}`,
		"a": `{"data": {"happenedAtTime": "2"}, "pagination": {"endCursor": "b", "hasNextPage": true}}`,
		"b": `{"data": [{"happenedAtTime": "3"}], "pagination": {"endCursor": "c", "hasNextPage": false}}`,
	}), "--quota=false")
	three := int32(3)
	stream, err := locationandspeedv1.NewLocationAndSpeedServiceClient(conn).FollowLocationAndSpeed(waiting(t),
		&locationandspeedv1.FollowLocationAndSpeedRequest{
			Request: &locationandspeedv1.ListLocationAndSpeedRequest{}, Options: &apiv1.FollowOptions{MaxPages: &three},
		})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for range 2 {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.GetCursor())
	}
	if diff := cmp.Diff([]string{"a", "b"}, got); diff != "" {
		t.Errorf("cursors (-want +got):\n%s", diff)
	}
}
