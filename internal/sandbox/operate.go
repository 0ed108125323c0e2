package sandbox

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
)

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
		return c.add(q.inputs(), now)
	}
	ids, input := q.ids(), q.inputs()[0]
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
				return merged(r.overlay, s.shown(op, c, r, now), input)
			})
		case replaces:
			records[i], ok = c.update(r.key, now, func(record) map[string]any { return replacement(op.body, input) })
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

// frameDepth is how many levels of objects are invented around the records of a response.
const frameDepth = 2

// response builds the JSON of a response around the records that it is about.
func (s *Sandbox) response(q *request, subjects []record, p page, now time.Time) any {
	op, c, e := q.op, q.op.target.collection, q.op.envelope
	if len(op.response.members) == 0 {
		return nil
	}
	moment := q.until(now).Truncate(tick)
	subject := c.first()
	if len(subjects) > 0 {
		subject = subjects[0]
	}
	about := s.fleet.subject(c.noun, subject.n, subject.key, moment)
	var out any
	switch {
	case e.record == nil && op.response.root != nil:
		return s.fleet.member(op.response.root, about, frameDepth)
	case e.record == nil:
		out = s.fleet.object(op.response, about, frameDepth, nil)
	case e.isList:
		out = s.list(q, p, moment)
	default:
		out = s.fleet.present(e.record, c, subject, q.echo(), moment, q.unselected())
	}
	for i, m := range slices.Backward(e.at) {
		holder := op.response
		if i > 0 {
			holder = e.at[i-1].schema
		}
		if holder.root != nil {
			break // a bare list
		}
		frame := s.fleet.object(holder, about, frameDepth, func(other *member) bool { return other == m || other == e.paging })
		frame[m.name] = out
		q.link(holder, frame, p)
		out = frame
	}
	if outer, ok := out.(map[string]any); ok && e.paging != nil {
		outer[e.paging.name] = s.cursors(e.paging.schema, q, p, now)
	}
	return out
}

// list presents the records of a page, each at its time.
func (s *Sandbox) list(q *request, p page, moment time.Time) []any {
	values := make([]any, 0, len(p.items))
	echo, skip := q.echo(), q.unselected()
	for _, i := range p.items {
		at := moment
		if i.tick != 0 {
			at = time.UnixMilli(i.tick * tick.Milliseconds())
		}
		values = append(values, s.fleet.present(q.op.envelope.record, q.op.target.collection, i.record, echo, at, skip))
	}
	return values
}

// cursors fills in a pagination object.
func (s *Sandbox) cursors(of *schema, q *request, p page, now time.Time) map[string]any {
	out := map[string]any{"hasNextPage": p.hasNext, "hasPrevPage": p.hasPrev, "startCursor": "", "endCursor": ""}
	if p.hasNext || p.openEnded {
		out["endCursor"] = s.cursor(p.last, q.fingerprint, now)
	}
	if p.hasPrev {
		out["startCursor"] = s.cursor(p.first, q.fingerprint, now)
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
