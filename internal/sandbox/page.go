package sandbox

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
)

const (
	// pageSize is how many records a page has where the client does not say; fewer, where
	// records are large.
	pageSize = 10
	// maxPageSize bounds every page of an operation that pages.
	maxPageSize = 1024
	// maxPageLeaves is about how many values a page of pageSize may have.
	maxPageLeaves = 800
	// history is how many ticks before the end of the time asked for a stream begins, at
	// the earliest. It bounds what a stream without an end has to catch up with.
	history = 60
	// cursorLifetime is how long Samsara keeps a cursor.
	cursorLifetime = 30 * 24 * time.Hour
)

// position is a place between two records of a list or a stream: after the record with number n
// of a tick. Lists have one tick, 0.
type position struct {
	tick int64
	n    uint64
}

// end is after the last record of a tick.
const end = math.MaxUint64

// cursor writes a position so that it is opaque, long, and bound to its parameters, to this seed
// and to the time of its making.
func (s *Sandbox) cursor(q *request, p position) string {
	raw := make([]byte, 0, 40)
	for _, part := range []uint64{q.fingerprint, uint64(p.tick), p.n, uint64(q.now.Unix())} {
		raw = binary.BigEndian.AppendUint64(raw, part)
	}
	raw = binary.BigEndian.AppendUint64(raw, mix(s.fleet.seed, string(raw)))
	return base64.RawURLEncoding.EncodeToString(raw)
}

// position reads back the cursor in a parameter.
func (s *Sandbox) position(q *request, name string) (position, *refusal) {
	text := jsonText(q.args[name])
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != 40 || binary.BigEndian.Uint64(raw[32:]) != mix(s.fleet.seed, string(raw[:32])) {
		return position{}, refuse(http.StatusBadRequest, "%s: %s is not a cursor of this API", name, quote(text))
	}
	p := position{tick: int64(binary.BigEndian.Uint64(raw[8:])), n: binary.BigEndian.Uint64(raw[16:])}
	made := time.Unix(int64(binary.BigEndian.Uint64(raw[24:])), 0)
	switch {
	case binary.BigEndian.Uint64(raw) != q.fingerprint:
		return position{}, refuse(http.StatusBadRequest, "the parameters are not those of the first page")
	case q.now.Sub(made) > cursorLifetime:
		return position{}, refuse(http.StatusBadRequest, "%s: the cursor is older than %d days", name, int(cursorLifetime.Hours()/24))
	}
	return p, nil
}

// item is a record at a time.
type item struct {
	record
	tick int64
}

// page is some records, and what the cursors around them say.
type page struct {
	items            []item
	first, last      position
	hasNext, hasPrev bool
	openEnded        bool // the last page has a cursor, too
}

// page selects the records of a list or stream that the request asks for.
func (s *Sandbox) page(q *request) (page, *refusal) {
	limit, refused := q.limit()
	if refused != nil {
		return page{}, refused
	}
	records := slices.DeleteFunc(q.op.target.collection.all(), func(r record) bool { return !q.keeps(r) })
	switch q.op.GetPagination() {
	case gatewayv1.Pagination_PAGINATION_UNSPECIFIED:
		return listPage(records, 0, len(records)), nil
	case gatewayv1.Pagination_PAGINATION_PAGE_NUMBER:
		return q.numberedPage(records)
	case gatewayv1.Pagination_PAGINATION_CURSOR, gatewayv1.Pagination_PAGINATION_BIDIRECTIONAL:
	}
	cursor, refused := q.cursorName()
	if refused != nil {
		return page{}, refused
	}
	from := position{}
	if cursor != "" {
		if from, refused = s.position(q, cursor); refused != nil {
			return page{}, refused
		}
	}
	switch {
	case q.op.GetFeed():
		if cursor == "" {
			from = q.begin()
		}
		return q.feedPage(records, from, limit), nil
	case cursor == "endingBefore":
		stop := countWhile(records, func(r record) bool { return r.n < from.n })
		return listPage(records, max(0, stop-limit), stop), nil
	}
	start := countWhile(records, func(r record) bool { return r.n <= from.n })
	return listPage(records, start, min(len(records), start+limit)), nil
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

// countWhile returns how many records come first for which keep holds.
func countWhile(records []record, keep func(record) bool) int {
	if i := slices.IndexFunc(records, func(r record) bool { return !keep(r) }); i >= 0 {
		return i
	}
	return len(records)
}

func listPage(records []record, start, stop int) page {
	p := page{hasPrev: start > 0, hasNext: stop < len(records)}
	for _, r := range records[start:stop] {
		p.items = append(p.items, item{record: r})
	}
	if len(p.items) > 0 {
		p.first, p.last = position{n: p.items[0].n}, position{n: p.items[len(p.items)-1].n}
	}
	return p
}

// numberedPageSize is the page size of AEMP documents.
const numberedPageSize = 100

func (q *request) numberedPage(records []record) (page, *refusal) {
	n, err := strconv.Atoi(q.path["pageNumber"])
	start := (n - 1) * numberedPageSize
	if err != nil || n < 1 || n > 1 && (n > len(records) || start >= len(records)) {
		return page{}, refuse(http.StatusNotFound, "pageNumber: there is no page %s", quote(q.path["pageNumber"]))
	}
	return listPage(records, start, min(len(records), start+numberedPageSize)), nil
}

// begin returns where the first page of a feed or stream begins: at its start time, or with the
// reports of the tick that is.
func (q *request) begin() position {
	last := ticks(q.until())
	if start, ok := q.time("startTime"); ok {
		return position{tick: max(ticks(start.Add(tick-1))-1, last-history), n: end}
	}
	return position{tick: last - 1, n: end}
}

// feedPage selects from a feed or stream, in which each record reports once a tick.
func (q *request) feedPage(records []record, from position, limit int) page {
	last := ticks(q.until())
	p := page{openEnded: true, last: from}
	for t := from.tick; t <= last; t++ {
		for _, r := range records {
			if t == from.tick && r.n <= from.n {
				continue
			}
			if len(p.items) == limit {
				p.hasNext = true
				return p
			}
			p.items = append(p.items, item{record: r, tick: t})
			p.last = position{tick: t, n: r.n}
		}
	}
	if last >= from.tick {
		p.last = position{tick: last, n: end}
	}
	return p
}

func ticks(t time.Time) int64 { return t.UnixMilli() / tick.Milliseconds() }

// until returns the latest time that a reply may be about.
func (q *request) until() time.Time {
	for _, name := range []string{"endTime", "endMs"} {
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
func (q *request) limit() (int, *refusal) {
	sent, ok := q.args["limit"]
	if !ok {
		return max(2, min(pageSize, maxPageLeaves/max(1, q.op.envelope.record.leaves))), nil
	}
	limit, err := strconv.Atoi(jsonText(sent))
	if err != nil || limit < 1 || limit > maxPageSize {
		return 0, refuse(http.StatusBadRequest, "limit: must be from 1 to %d, is %v", maxPageSize, sent)
	}
	return limit, nil
}

// keeps reports whether a record passes the filters of a request: its parameters called ids or
// xIds, which name records by id or as key:value by external id.
func (q *request) keeps(r record) bool {
	for name, v := range q.args {
		if !strings.HasSuffix(name, "ds") || name == q.op.target.param || !isReference(name) && name != "ids" {
			continue
		}
		c := q.op.target.collection
		noun := c.noun
		if name != "ids" {
			noun = nounOfReference(name)
		}
		if !slices.ContainsFunc(split(v), func(id string) bool { return c.refers(r, noun, id) }) {
			return false
		}
	}
	return true
}

// split returns the values of a list parameter; some are declared as one string.
func split(v any) []string {
	if values, ok := v.([]any); ok {
		return texts(values)
	}
	return strings.Split(jsonText(v), ",")
}

// refers reports whether a record is the one with an id, or refers to it as its noun.
func (c *collection) refers(r record, noun, id string) bool {
	if noun == c.noun {
		return r.key == id || c.isAlias(r, id)
	}
	if v, ok := r.overlay[noun+"Id"]; ok {
		return jsonText(v) == id
	}
	if values, ok := r.overlay[noun+"Ids"].([]any); ok {
		return slices.Contains(texts(values), id)
	}
	return id == idOf(ref(r.n, 0)) || noun == "tag" && id == idOf(ref(r.n, 1))
}
