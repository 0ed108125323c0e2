package sandbox

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

const (
	// pageSize is how many records a page has if neither the client nor the configuration says.
	// Pages of large records have fewer.
	pageSize = 10
	// MaxPageSize bounds every page, and the whole of a list that does not page.
	MaxPageSize = 1024
	// maxPageLeaves is about how many values a page of pageSize may have.
	maxPageLeaves = 800
	// History is the longest time before the end of the requested range at which a stream begins.
	History = 24 * time.Hour
	// CursorLifetime is how long a cursor is valid: from the time of the report that it follows, or
	// from when it was made if it follows a record of a list or a report older than half of this.
	CursorLifetime = 30 * 24 * time.Hour
)

// position is a position between two records of a list or a stream: after the record with number n
// of a tick. Lists have one tick, 0. After all records of a tick n is end, so that each position is
// written in one way.
type position struct {
	tick int64
	n    uint64
	// empties counts the empty pages that faults have put at this position, so that each of them
	// has a cursor of its own.
	empties uint16
}

// end is after the last record of a tick.
const end = math.MaxUint64

// cursorBytes is the size of a cursor: fingerprint, tick, number, empties and birth, checksum.
const cursorBytes = 40

// cursor writes a position so that it is opaque, long, and bound to its parameters and to this
// seed. The position that a request begins at keeps its cursor.
func (s *Sandbox) cursor(q *request, p position) string {
	if q.cursor != "" && p == q.from {
		return q.cursor
	}
	raw := make([]byte, 0, cursorBytes)
	for _, field := range []uint64{q.fingerprint, uint64(p.tick), p.n, uint64(p.empties)<<48 | uint64(q.birth(p).Unix())&(1<<48-1)} {
		raw = binary.BigEndian.AppendUint64(raw, field)
	}
	raw = binary.BigEndian.AppendUint64(raw, mix(s.fleet.seed, string(raw)))
	return base64.RawURLEncoding.EncodeToString(raw)
}

// birth returns the time from which the age of a position's cursor counts. In a feed it is the time of
// the position, so that a position always has one cursor, except if that is half of CursorLifetime ago
// or more. It is then the time of the request, as in a list.
func (q *request) birth(p position) time.Time {
	if at := timeOfTick(p.tick); q.op.GetFeed() && q.now.Sub(at) < CursorLifetime/2 {
		return at
	}
	return q.now
}

// readPosition reads back the cursor in a parameter.
func (s *Sandbox) readPosition(q *request, name string) (position, *refusal) {
	text := jsonText(q.args[name])
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != cursorBytes || binary.BigEndian.Uint64(raw[32:]) != mix(s.fleet.seed, string(raw[:32])) {
		return position{}, refuse(http.StatusBadRequest, "%s: %s is not a cursor of this API", name, quote(text))
	}
	p := position{tick: int64(binary.BigEndian.Uint64(raw[8:])), n: binary.BigEndian.Uint64(raw[16:]), empties: binary.BigEndian.Uint16(raw[24:])}
	born := time.Unix(int64(binary.BigEndian.Uint64(raw[24:])&(1<<48-1)), 0)
	switch {
	case binary.BigEndian.Uint64(raw) != q.fingerprint:
		return position{}, refuse(http.StatusBadRequest, "Parameters differ from previous paginated request.")
	case q.now.Sub(born) > CursorLifetime:
		return position{}, refuse(http.StatusBadRequest, "invalid or expired pagination cursor: %s is older than %d days", name, int(CursorLifetime.Hours()/24))
	}
	return p, nil
}

// item is a record at a time.
type item struct {
	record
	tick int64
}

// page is some records, and the positions of the cursors around them.
type page struct {
	items            []item
	first, last      position
	hasNext, hasPrev bool
	openEnded        bool   // the last page has a cursor, too
	cursorless       bool   // no page has one
	null             bool   // the list is null, unless it has records
	rows             []byte // the JSON of the list, if it is not of records
}

// page selects the records of a list or stream that the request asks for.
func (s *Sandbox) page(q *request) (page, *refusal) {
	limit, refused := s.limit(q)
	if refused != nil {
		return page{}, refused
	}
	l := s.listing(q)
	switch q.op.GetPagination() {
	case apiv1.Pagination_PAGINATION_UNSPECIFIED:
		return l.page(0, MaxPageSize), nil
	case apiv1.Pagination_PAGINATION_PAGE_NUMBER:
		return l.numbered(q.path["pageNumber"])
	case apiv1.Pagination_PAGINATION_CURSOR, apiv1.Pagination_PAGINATION_BIDIRECTIONAL:
	}
	name, refused := q.cursorName()
	switch {
	case refused != nil:
		return page{}, refused
	case name != "":
		q.cursor = jsonText(q.args[name])
		if q.from, refused = s.readPosition(q, name); refused != nil {
			return page{}, refused
		}
	case q.op.GetFeed():
		q.from = q.begin()
	}
	if name == "endingBefore" {
		return l.pageBefore(q.from.n, limit), nil
	}
	return q.oddPage(l, limit), nil
}

// oddPage returns the page that the request asks for, odd as its fault says.
func (q *request) oddPage(l listing, limit int) page {
	if q.odd == PageEmpty {
		next := q.from
		next.empties++
		return page{hasNext: true, last: next}
	}
	if q.odd == PageShort {
		limit = (limit + 1) / 2
	}
	var p page
	if q.op.GetFeed() {
		p = q.feedPage(l, limit)
	} else {
		p = l.page(q.from.n, limit)
	}
	switch q.odd {
	case PageSameCursor:
		p.hasNext, p.last = true, q.from
	case PageNoCursor:
		p.hasNext, p.cursorless = true, true
	case PageNull:
		p.null = true
	case PageWhole, PageShort, PageEmpty:
	}
	return p
}

// cursorName returns the parameter that holds the cursor, empty on the first page.
func (q *request) cursorName() (string, *refusal) {
	found := ""
	for _, name := range []string{"after", "startingAfter", "endingBefore"} {
		switch {
		case jsonText(q.args[name]) == "":
		case found != "":
			return "", refuse(http.StatusBadRequest, "%s: must not be sent together with %s", name, found)
		default:
			found = name
		}
	}
	return found, nil
}

// listing is the records of a collection that pass some filters, in order.
type listing struct {
	of    *collection
	order order             // numbers that their records may have
	keeps func(record) bool // nil for all of these
}

// from returns at most limit records from index i of the order on, backwards if step is -1.
func (l listing) from(i, step, limit int) []record {
	var out []record
	for ; i >= 0 && i < l.order.count && len(out) < limit; i += step {
		if r, ok := l.of.get(l.order.at(i)); ok && (l.keeps == nil || l.keeps(r)) {
			out = append(out, r)
		}
	}
	return out
}

// after returns at most limit records that come after a number.
func (l listing) after(n uint64, limit int) []record {
	return l.from(l.order.past(n), 1, limit)
}

// page returns the records after a number.
func (l listing) page(n uint64, limit int) page {
	found := l.after(n, limit+1) // one more, to know whether there is a next page
	p := pageOf(found[:min(limit, len(found))])
	p.hasNext, p.hasPrev = len(found) > limit, n > 0
	return p
}

// pageBefore returns the last records before a number.
func (l listing) pageBefore(n uint64, limit int) page {
	found := l.from(l.order.past(max(n, 1)-1)-1, -1, limit+1)
	more := len(found) > limit
	found = found[:min(limit, len(found))]
	slices.Reverse(found)
	p := pageOf(found)
	p.hasNext, p.hasPrev = len(l.after(max(n, 1)-1, 1)) > 0, more
	return p
}

func pageOf(records []record) page {
	p := page{}
	for _, r := range records {
		p.items = append(p.items, item{record: r})
	}
	if len(p.items) > 0 {
		p.first, p.last = position{n: p.items[0].n}, position{n: p.items[len(p.items)-1].n}
	}
	return p
}

// numberedPageSize is the page size of AEMP documents.
const numberedPageSize = 100

// numbered returns a page by its number, from 1. Pages keep their records: a page is short if some of
// them are deleted.
func (l listing) numbered(number string) (page, *refusal) {
	pages := max(1, (l.order.count+numberedPageSize-1)/numberedPageSize)
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > pages {
		return page{}, refuse(http.StatusNotFound, "pageNumber: there is no page %s", quote(number))
	}
	first := (n - 1) * numberedPageSize
	l.order.count = min(l.order.count, first+numberedPageSize)
	p := pageOf(l.from(first, 1, numberedPageSize))
	p.hasNext = n < pages
	return p, nil
}

// begin returns the position at which the first page of a feed or stream begins: its start time, or the
// current tick.
func (q *request) begin() position {
	last := ticks(q.until())
	if start, ok := q.time("startTime"); ok {
		return position{tick: max(ticks(start.Add(Tick-1))-1, last-int64(History/Tick)), n: end}
	}
	return position{tick: last - 1, n: end}
}

// feedPage selects from a feed or stream, in which each record reports once a tick.
func (q *request) feedPage(l listing, limit int) page {
	p := page{openEnded: true, last: position{tick: q.from.tick, n: q.from.n}, hasNext: q.isEndless()}
	last := ticks(q.until())
	for t, n := q.from.tick, q.from.n; t <= last; t, n = t+1, 0 {
		room := limit - len(p.items)
		found := l.after(n, room+1)
		if n == 0 && len(found) == 0 {
			break // nothing reports, at this tick or any other
		}
		for _, r := range found[:min(room, len(found))] {
			p.items = append(p.items, item{record: r, tick: t})
			p.last = position{tick: t, n: r.n}
		}
		if len(found) > room {
			p.hasNext = true
			return p
		}
		if len(found) > 0 {
			p.last.n = end
		}
	}
	return p
}

// isEndless reports whether a stream says that it has a next page even if it has caught up. The OpenAPI
// document states so of these two if they are read without an end time.
func (q *request) isEndless() bool {
	switch q.op.GetId() {
	case "getQualificationRecordsStream", "getTrainingAssignmentsStream":
		return q.args["endTime"] == nil
	}
	return false
}

func ticks(t time.Time) int64 { return t.UnixMilli() / Tick.Milliseconds() }

func timeOfTick(n int64) time.Time { return time.UnixMilli(n * Tick.Milliseconds()) }

// until returns the latest time that a reply may be about.
func (q *request) until() time.Time {
	for _, name := range []string{"endTime", "endMs", "asOfTime"} {
		if t, ok := q.time(name); ok && t.Before(q.now) {
			return t
		}
	}
	return q.now
}

// time returns a parameter that is a time, as RFC 3339 or Unix milliseconds.
func (q *request) time(name string) (time.Time, bool) {
	switch v := q.args[name].(type) {
	case string:
		t, err := time.Parse(time.RFC3339, v)
		return t, err == nil
	case json.Number:
		ms, err := v.Int64()
		return time.UnixMilli(ms), err == nil
	}
	return time.Time{}, false
}

// limit returns how many records a page may have.
func (s *Sandbox) limit(q *request) (int, *refusal) {
	sent, ok := q.args["limit"]
	switch {
	case !ok && s.pageSize > 0:
		return s.pageSize, nil
	case !ok:
		return max(2, min(pageSize, maxPageLeaves/max(1, q.op.envelope.record.leaves))), nil
	}
	limit, err := strconv.Atoi(jsonText(sent))
	if err != nil || limit < 1 || limit > MaxPageSize {
		return 0, refuse(http.StatusBadRequest, "limit: must be from 1 to %d, is %v", MaxPageSize, sent)
	}
	return limit, nil
}
