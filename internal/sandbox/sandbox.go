// Package sandbox is an in-process Samsara to run and test against: an HTTP handler that answers
// every operation of the API with an invented fleet.
//
// It is driven by the same descriptors and annotations as the gateway and shares no code with
// it beyond them: it reads each HTTP request by itself, strictly, so that it catches what the
// gateway does wrong. What differs from the operation's declaration in any way (an unknown
// parameter or member, the wrong array style, a whole number sent as a string, a missing required
// value, a body where none is declared) is refused as Samsara refuses it, with everything that
// is wrong named.
//
// Guarantees:
//   - Replies follow from the seed, the request, what clients have written and the clock, and
//     from nothing else. The same vehicle looks alike in all of them.
//   - Every collection has the ids 281474976710657 to 281474976710668, and those of records
//     created since; all others are unknown. Where one record refers to another, that one exists.
//   - What clients create, change and delete is kept in memory until the process ends, for every
//     resource that can be read back; at most 10,000 records may be created in a collection.
//     Deleting has no effect on the records that refer to the deleted one.
//   - In feeds and streams each record reports anew every 5 seconds; a stream goes back at most
//     5 minutes before its end.
//   - Every wait, table and reply is bounded; nothing runs between requests.
//
// It does not know scopes, rate limits or what a filter other than by ids means, and it refuses
// to be reached without a token.
package sandbox

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
	"samsara.internal/gateway/internal/endpoint"
)

// Config says what a sandbox serves.
type Config struct {
	// Endpoints are the operations to answer. Of two with one method and path the one that is
	// not deprecated is served.
	Endpoints []*endpoint.Endpoint
	// Token is the API token that requests must carry; it must not be empty.
	Token string
	// Seed selects the fleet.
	Seed uint64
	// Now is the clock; nil for time.Now. It must be safe for concurrent use.
	Now func() time.Time
	// Faults apply to all requests with the right token. The first that is due wins.
	Faults []Fault
	// Logger receives a debug record for each request, never with the token; nil for none.
	Logger *slog.Logger
}

// Sandbox answers as Samsara does. It is safe for concurrent use.
type Sandbox struct {
	token  [sha256.Size]byte
	fleet  *fleet
	now    func() time.Time
	log    *slog.Logger
	routes *router
	faults *faults
	served atomic.Uint64
}

// New compiles the endpoints. The error joins everything that is wrong with the configuration.
func New(c Config) (*Sandbox, error) {
	s := &Sandbox{
		token:  sha256.Sum256([]byte(c.Token)),
		fleet:  &fleet{seed: c.Seed},
		now:    c.Now,
		log:    c.Logger,
		routes: &router{},
		faults: newFaults(c.Seed, c.Faults),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var errs []error
	if c.Token == "" {
		errs = append(errs, errors.New("token: must not be empty"))
	}
	known := schemas{}
	var ops []*operation
	for _, e := range c.Endpoints {
		op, err := newOperation(e, known)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ops = append(ops, op)
	}
	// Deprecated ones last, so that they find their place taken.
	slices.SortStableFunc(ops, func(a, b *operation) int { return order(a.deprecated) - order(b.deprecated) })
	ops = slices.DeleteFunc(ops, func(op *operation) bool {
		other := s.routes.add(op)
		if other != nil && op.deprecated == other.deprecated {
			errs = append(errs, fmt.Errorf("%s %s: served by both %s and %s", op.verb, op.GetPath(), other.GetId(), op.GetId()))
		}
		return other != nil
	})
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	resolve(ops)
	return s, nil
}

func order(deprecated bool) int {
	if deprecated {
		return 1
	}
	return 0
}

// refusal is why a request is not answered as it asks.
type refusal struct {
	status  int
	message string
	allow   []string // of a 405
}

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, message: fmt.Sprintf(format, args...)}
}

// reply is what goes out.
type reply struct {
	status      int
	contentType string
	body        []byte
	retryAfter  time.Duration
	allow       []string
}

// ServeHTTP implements http.Handler.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := s.requestID()
	out, fault := s.answer(r, id)
	if fault.Reset {
		s.log.LogAttrs(r.Context(), slog.LevelDebug, "connection reset", slog.String("request", id))
		reset(w)
		return
	}
	h := w.Header()
	h.Set("Request-Id", id)
	if out.retryAfter > 0 {
		h.Set("Retry-After", decimalSeconds(out.retryAfter))
	}
	if len(out.allow) > 0 {
		h.Set("Allow", strings.Join(out.allow, ", "))
	}
	body := out.body
	if len(body) > 0 {
		h.Set("Content-Type", out.contentType)
		h.Set("Content-Length", strconv.Itoa(len(body)))
		if fault.Truncate {
			body = body[:len(body)/2] // net/http then closes the connection
		}
	}
	w.WriteHeader(out.status)
	if _, err := w.Write(body); err != nil && len(body) > 0 {
		s.log.LogAttrs(r.Context(), slog.LevelDebug, "client gone", slog.String("request", id))
	}
	s.log.LogAttrs(r.Context(), slog.LevelDebug, "answered", slog.String("request", id), slog.String("method", r.Method),
		slog.String("path", r.URL.EscapedPath()), slog.Int("status", out.status), slog.String("fault", fault.String()))
}

// requestID returns the next request id; ids differ between seeds and repeat between runs.
func (s *Sandbox) requestID() string {
	n := s.served.Add(1)
	return fmt.Sprintf("%08x-%08x", uint32(finalise(s.fleet.seed^0xa5)), n) //nolint:gosec // G115: half of a hash
}

// answer returns the reply to a request, and the fault to deliver it with.
func (s *Sandbox) answer(r *http.Request, id string) (reply, Fault) {
	path := r.URL.EscapedPath()
	if !s.authorised(r) {
		// Samsara leaves the request id out of this one.
		return refused(path, "", refuse(http.StatusUnauthorized, "Invalid token.")), Fault{}
	}
	fault, err := s.faults.due(r)
	if err != nil {
		return refused(path, id, refuse(http.StatusBadRequest, "%s: %s", FaultHeader, err)), Fault{}
	}
	if fault.Latency > 0 && !wait(r.Context(), fault.Latency) {
		return reply{}, Fault{Reset: true} // the client has gone
	}
	if fault.Reset {
		return reply{}, fault
	}
	out := reply{}
	if fault.Status != 0 {
		out = refused(path, id, refuse(fault.Status, "%s", http.StatusText(fault.Status)))
	} else {
		out = s.operate(r, path, id)
	}
	out.retryAfter = fault.RetryAfter
	return out, fault
}

// authorised compares hashes, so that the time it takes tells nothing of the token.
func (s *Sandbox) authorised(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	sum := sha256.Sum256([]byte(token))
	return ok && subtle.ConstantTimeCompare(sum[:], s.token[:]) == 1
}

// refused writes an error in the shape that Samsara gives it: text for 5XX, a bare JSON string
// below /v1/, else an object.
func refused(path, id string, why *refusal) reply {
	out := reply{status: why.status, contentType: "application/json", allow: why.allow}
	switch {
	case why.status >= http.StatusInternalServerError:
		out.contentType, out.body = "text/plain; charset=utf-8", []byte(why.message)
	case legacy(path):
		out.body = encode(why.message)
	case id == "":
		out.body = encode(map[string]any{"message": why.message})
	default:
		out.body = encode(map[string]any{"message": why.message, "requestId": id})
	}
	return out
}

// encode writes JSON. Whatever it is given consists of strings, numbers, bools, maps and slices,
// all of which can be written.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return []byte(strconv.Quote(err.Error()))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// operate answers a request that no fault keeps from its operation.
func (s *Sandbox) operate(r *http.Request, path, id string) reply {
	op, names, verbs := s.routes.find(r.Method, path)
	switch {
	case op == nil && len(verbs) > 0:
		why := refuse(http.StatusMethodNotAllowed, "%s is not accepted here", shorten(r.Method))
		why.allow = verbs
		return refused(path, id, why)
	case op == nil:
		return refused(path, id, refuse(http.StatusNotFound, "there is no such path"))
	}
	q, why := op.read(r, names)
	if why != nil {
		return refused(path, id, why)
	}
	v, why := s.perform(q)
	if why != nil {
		return refused(path, id, why)
	}
	out := reply{status: int(op.GetSuccessStatus())}
	if out.status == 0 {
		out.status = http.StatusOK
	}
	if v != nil && out.status != http.StatusNoContent {
		out.contentType, out.body = "application/json", encode(v)
	}
	return out
}

// perform does what an operation does to the records and returns the response, nil where the
// operation has none.
func (s *Sandbox) perform(q *request) (any, *refusal) {
	op, now := q.op, s.now()
	for _, k := range op.keys {
		if _, ok := k.collection.find(q.path[k.param]); !ok {
			return nil, unknown(k.param, q.path[k.param])
		}
	}
	subjects, why := s.affect(q, now)
	if why != nil {
		return nil, why
	}
	p := page{}
	switch {
	case !op.envelope.isList:
	case op.effect == reads || len(subjects) == 0:
		if p, why = s.page(q, now); why != nil {
			return nil, why
		}
	default:
		for _, r := range subjects {
			p.items = append(p.items, item{record: r})
		}
	}
	return s.response(q, subjects, p, now), nil
}

func unknown(param, id string) *refusal {
	return refuse(http.StatusNotFound, "%s: %s is not known", param, quote(id))
}

// affect applies the effect of an operation and returns the records that it is about.
func (s *Sandbox) affect(q *request, now time.Time) ([]record, *refusal) {
	op, c := q.op, q.op.target.collection
	if op.effect == creates {
		r, why := c.add(q.input(), now)
		return []record{r}, why
	}
	ids := q.ids()
	switch {
	case op.effect == reads || len(ids) > 0:
	case op.target.from == nowhere:
		ids = []string{idOf(1)} // settings
	default:
		return nil, refuse(http.StatusBadRequest, "%s: is required", op.target.param)
	}
	records := make([]record, 0, len(ids))
	for _, id := range ids { // all or none
		r, ok := c.find(id)
		if !ok {
			return nil, unknown(op.target.param, id)
		}
		records = append(records, r)
	}
	for i, r := range records {
		ok := true
		switch op.effect {
		case merges:
			records[i], ok = c.update(r.key, now, func(r record) map[string]any {
				return merged(r.overlay, s.shown(op, c, r, now), q.input())
			})
		case replaces:
			records[i], ok = c.update(r.key, now, func(record) map[string]any { return replacement(op.body, q.input()) })
		case deletes:
			records[i], ok = c.remove(r.key)
		case reads, creates:
		}
		if !ok {
			return nil, unknown(op.target.param, r.key) // deleted meanwhile
		}
	}
	return records, nil
}

// shown returns a record as an operation answers it.
func (s *Sandbox) shown(op *operation, c *collection, r record, now time.Time) map[string]any {
	if op.envelope.record == nil {
		return nil
	}
	return s.fleet.present(op.envelope.record, c, r, nil, now, nil)
}

// response builds the JSON of a response around the records that it is about.
func (s *Sandbox) response(q *request, subjects []record, p page, now time.Time) any {
	op, c := q.op, q.op.target.collection
	at := q.until(now).Truncate(tick)
	subject := record{n: 1, key: idOf(1)}
	if len(subjects) > 0 {
		subject = subjects[0]
	} else if all := c.all(); len(all) > 0 {
		subject = all[0]
	}
	skip := q.unselected()
	var content any
	switch e := op.envelope; {
	case e.record != nil && e.isList:
		values := make([]any, 0, len(p.items))
		for _, i := range p.items {
			then := at
			if i.tick != 0 {
				then = time.UnixMilli(i.tick * tick.Milliseconds())
			}
			values = append(values, s.fleet.present(e.record, c, i.record, q.echo(), then, skip))
		}
		content = values
	case e.record != nil:
		content = s.fleet.present(e.record, c, subject, q.echo(), at, skip)
	}
	if op.response.root != nil {
		if content != nil {
			return content
		}
		return s.fleet.member(op.response.root, s.fleet.subject(c.noun, subject.n, subject.key, at), 2)
	}
	if len(op.response.members) == 0 {
		return nil
	}
	if content != nil && len(op.envelope.at) == 0 {
		return content
	}
	placed := map[*member]bool{}
	for _, m := range op.envelope.at {
		placed[m] = true
	}
	frame := func(s2 *schema) map[string]any {
		return s.fleet.object(s2, s.fleet.subject(c.noun, subject.n, subject.key, at), 2, func(m *member) bool {
			return placed[m] || m == op.envelope.paging
		})
	}
	out := frame(op.response)
	inner := out
	for i, m := range op.envelope.at {
		if i == len(op.envelope.at)-1 {
			inner[m.name] = content
			break
		}
		next := frame(m.schema)
		q.link(m.schema, next, p)
		inner[m.name] = next
		inner = next
	}
	if op.envelope.paging != nil {
		out[op.envelope.paging.name] = s.cursors(op.envelope.paging.schema, q, p, now)
	}
	return out
}

// cursors fills in a pagination object.
func (s *Sandbox) cursors(of *schema, q *request, p page, now time.Time) map[string]any {
	out := map[string]any{"hasNextPage": p.hasNext, "hasPrevPage": p.hasPrev, "startCursor": "", "endCursor": ""}
	if p.hasNext || p.openEnded {
		out["endCursor"] = s.cursor(p.last, q.print, now)
	}
	if p.hasPrev {
		out["startCursor"] = s.cursor(p.first, q.print, now)
	}
	maps.DeleteFunc(out, func(name string, _ any) bool { return of.named[name] == nil })
	return out
}

// link sets the links of an AEMP document to its other pages.
func (q *request) link(s *schema, document map[string]any, p page) {
	for _, m := range s.members {
		if !strings.EqualFold(m.name, linksName) || q.op.GetPagination() != gatewayv1.Pagination_PAGINATION_PAGE_NUMBER {
			continue
		}
		number, err := strconv.Atoi(q.path["pageNumber"])
		if err != nil {
			continue
		}
		base := strings.TrimSuffix(q.op.GetPath(), "{pageNumber}")
		links := []any{map[string]any{"rel": "self", "href": base + strconv.Itoa(number)}}
		if p.hasNext {
			links = append(links, map[string]any{"rel": "next", "href": base + strconv.Itoa(number+1)})
		}
		document[m.name] = links
	}
}
