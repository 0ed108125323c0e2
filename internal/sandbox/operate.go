package sandbox

import (
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// operate answers a request unless a fault does so. The fault says what is odd about the answer.
func (s *Sandbox) operate(r *http.Request, id string, fault Fault) reply {
	path := r.URL.EscapedPath()
	op, names, verbs := s.routes.find(r.Method, path)
	switch {
	case op == nil && len(verbs) > 0:
		why := refuse(http.StatusMethodNotAllowed, "%s is not accepted here", shorten(r.Method))
		why.allow = verbs
		return refused(path, id, why)
	case op == nil:
		return refused(path, id, refuse(http.StatusNotFound, "there is no such path"))
	}
	q, why := op.read(r, names, s.now())
	if why != nil {
		return refused(path, id, why)
	}
	q.id, q.odd, q.drift = id, fault.Page, fault.Drift
	s.note(r, q)
	body, why := s.perform(q)
	if why != nil {
		return refused(path, id, why)
	}
	out := reply{status: int(op.GetSuccessStatus())}
	if body != nil && out.status != http.StatusNoContent {
		out.contentType, out.body = "application/json", body
	}
	return out
}

// note logs, once for each parameter, that an array was sent as repeated keys although it is declared as
// joined by commas.
func (s *Sandbox) note(r *http.Request, q *request) {
	for _, m := range q.repeated {
		if _, noted := s.noted.LoadOrStore(m, true); !noted {
			s.log.LogAttrs(r.Context(), slog.LevelInfo, "repeated keys taken for values that are declared as joined by commas; said once",
				slog.String("method", q.op.verb), slog.String("path", q.op.GetPath()), slog.String("parameter", m.name))
		}
	}
}

// perform applies an operation to the records and returns the response's JSON, nil if the operation has
// no response.
func (s *Sandbox) perform(q *request) ([]byte, *refusal) {
	op := q.op
	if op.effect == reads && op.outcome.status == nil && len(op.says) == 0 {
		s.mu.RLock()
		defer s.mu.RUnlock()
	} else {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	for _, k := range op.keys {
		if _, ok := k.collection.find(q.path[k.param]); !ok {
			return nil, unknown(k.param, q.path[k.param])
		}
	}
	if why := s.settle(q); why != nil {
		return nil, why
	}
	if why := s.missing(q); why != nil {
		return nil, why
	}
	subjects, why := s.affect(q)
	if why != nil {
		return nil, why
	}
	p := page{}
	table, isTable := op.table()
	switch {
	case isTable:
		p.rows, why = s.rows(q, table)
		if why != nil {
			return nil, why
		}
	case !op.envelope.isList:
	case op.effect == reads && op.target.in != inEach:
		if p, why = s.page(q); why != nil {
			return nil, why
		}
	default:
		for _, r := range subjects {
			p.items = append(p.items, item{record: r})
		}
	}
	return s.response(q, subjects, p), nil
}

func unknown(param, id string) *refusal {
	return refuse(http.StatusNotFound, "%s: %s is not known", param, quote(id))
}

// affect applies the effect of an operation and returns the records that it is about.
func (s *Sandbox) affect(q *request) ([]record, *refusal) {
	op, c := q.op, q.op.target.collection
	if op.effect == creates {
		return s.create(q)
	}
	ids, inputs := q.ids(), q.inputs()
	if op.target.in == inOwners && (op.effect != reads || !op.envelope.isList) {
		if ids = c.belonging(q); len(ids) == 0 {
			return nil, refuse(http.StatusNotFound, "%s: there is no %s of these", strings.Join(op.owners(), ", "), words(c.noun))
		}
	}
	switch {
	case op.effect == reads || len(ids) > 0:
	case op.target.in == nowhere:
		ids = []string{idOf(1)} // settings
	case op.target.in == inQuery && op.query[op.target.param].shape == list:
		return nil, nil // of none
	default:
		return nil, refuse(http.StatusBadRequest, "%s: is required", op.target.param)
	}
	records := make([]record, 0, len(ids))
	for _, id := range ids { // all or none
		r, ok := c.find(id)
		if !ok || !c.isAskedFor(q, r) {
			return nil, unknown(op.target.param, id)
		}
		records = append(records, r)
	}
	if op.effect == merges || op.effect == replaces {
		for i, r := range records {
			why := s.taken(q, inputFor(inputs, i), r)
			if why == nil && op.effect == merges {
				why = s.strange(q, inputFor(inputs, i), r)
			}
			if why != nil {
				return nil, why
			}
		}
	}
	for i, r := range records {
		input := inputFor(inputs, i)
		switch op.effect {
		case merges:
			shown := s.shown(q, r)
			records[i] = c.update(r, merged(r.overlay, shown, c.adapted(r.overlay, shown, input)), q.now)
			s.carryOut(q, input)
		case replaces:
			records[i] = c.update(r, c.replacement(r, op.body, input), q.now)
		case deletes:
			c.remove(r)
			s.kinds.unassign(c, r)
		case reads:
			if op.outcome.status != nil {
				records[i] = c.update(r, op.outcome.of(r, q.now), q.now)
			}
			if said := s.saidBy(q, input, records[i]); len(said) > 0 {
				records[i] = c.update(records[i], merged(records[i].overlay, nil, said), q.now)
			}
			if op.isAction() {
				records[i].overlay = merged(records[i].overlay, nil, input) // only for this answer
			}
		case creates:
		}
	}
	return records, nil
}

// saidBy returns what an action says of a record. In a list whose elements have ids, such as the relays of a
// vehicle, the elements that it does not name stay.
func (s *Sandbox) saidBy(q *request, input map[string]any, r record) map[string]any {
	said := map[string]any{}
	for _, m := range q.op.says {
		v, sent := input[m.name]
		if !sent {
			continue
		}
		said[m.name] = v
		things, isList := v.([]any)
		if !isList || !m.isRecord() || !hasID(m.schema) {
			continue
		}
		for _, before := range s.things(held{q.op.target.collection, m}, r) {
			if values, _ := before.(map[string]any); thingOf(things, jsonText(values["id"])) == nil {
				things = append(things, before)
			}
		}
		said[m.name] = things
	}
	return said
}

// shown returns a record as an operation answers it, nil if it answers none.
func (s *Sandbox) shown(q *request, r record) map[string]any {
	if q.op.envelope.record == nil {
		return nil
	}
	return s.fleet.show(r, s.view(q, q.now))
}

// frameDepth is how many levels of objects are invented around the records of a response.
const frameDepth = 2

// response returns the JSON of a response with the records that it is about, nil if the operation has no
// response.
func (s *Sandbox) response(q *request, subjects []record, p page) []byte {
	op, c, e := q.op, q.op.target.collection, q.op.envelope
	if len(op.response.members) == 0 {
		return nil
	}
	moment := q.until().Truncate(Tick)
	first := c.first()
	if len(subjects) > 0 {
		first = subjects[0]
	}
	bare := first.isCreated()
	about := s.fleet.about(subject{noun: c.noun, n: first.n, key: first.key, at: moment, depth: frameDepth, live: true, bare: bare, kinds: s.kinds})
	// around writes an object around its member content, with the cursors and links of the page.
	around := func(holder *schema, content *member, written []byte) []byte {
		return s.fleet.object(nil, holder, about, func(m *member) (any, bool) {
			switch {
			case m == content:
				return json.RawMessage(written), true
			case m == e.paging:
				return s.cursors(q, p), true
			case strings.EqualFold(m.name, linksName) && op.GetPagination() == apiv1.Pagination_PAGINATION_PAGE_NUMBER:
				return q.links(p), true
			case m.term.is("requestid"):
				return q.id, true
			case m.term.is("id", "uuid") && content != nil && len(subjects) == 1:
				if id, ok := first.idAs(m); ok {
					return id, true
				}
			}
			return nil, bare && !c.assigns(m)
		})
	}
	var out []byte
	switch {
	case e.record == nil && op.response.root != nil:
		out, _ = s.fleet.member(nil, op.response.root, about)
		return out
	case e.record == nil:
		return around(op.response, nil, nil)
	case p.rows != nil:
		out = p.rows
	case e.isList && p.null && len(p.items) == 0:
		out = []byte("null")
	case e.isList:
		out = s.list(p, s.view(q, moment))
	default:
		out = s.fleet.present(nil, first, s.view(q, moment))
	}
	for i, m := range slices.Backward(e.at) {
		holder := op.response
		if i > 0 {
			holder = e.at[i-1].schema
		}
		if holder.root != nil {
			break // a bare list
		}
		out = around(holder, m, out)
	}
	return out
}

// list presents the records of a page, each at its time.
func (s *Sandbox) list(p page, v view) []byte {
	b := []byte{'['}
	for _, i := range p.items {
		if i.tick != 0 {
			v.at, v.report = timeOfTick(i.tick), true
		}
		b = separate(b)
		if v.around != nil {
			b = s.fleet.object(b, v.around, subject{}, func(m *member) (any, bool) {
				switch {
				case m.term.is("data"):
					return json.RawMessage(s.fleet.present(nil, i.record, v)), true
				case m.term.is("status"):
					return json.Number(strconv.Itoa(http.StatusOK)), true
				}
				return nil, true
			})
			continue
		}
		b = s.fleet.present(b, i.record, v)
	}
	return append(b, ']')
}

// cursors fills in a pagination object.
func (s *Sandbox) cursors(q *request, p page) map[string]any {
	out := map[string]any{"hasNextPage": p.hasNext, "hasPrevPage": p.hasPrev, "startCursor": "", "endCursor": ""}
	if (p.hasNext || p.openEnded) && !p.cursorless {
		out["endCursor"] = s.cursor(q, p.last)
	}
	if p.hasPrev {
		out["startCursor"] = s.cursor(q, p.first)
	}
	maps.DeleteFunc(out, func(name string, _ any) bool { return q.op.envelope.paging.schema.named[name] == nil })
	return out
}

// links returns the links of an AEMP document to itself and its next page.
func (q *request) links(p page) []any {
	base := strings.TrimSuffix(q.op.GetPath(), "{pageNumber}")
	links := []any{map[string]any{"rel": "self", "href": base + q.path["pageNumber"]}}
	if n, err := strconv.Atoi(q.path["pageNumber"]); err == nil && p.hasNext {
		links = append(links, map[string]any{"rel": "next", "href": base + strconv.Itoa(n+1)})
	}
	return links
}
