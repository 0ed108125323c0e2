package sandbox

import (
	"encoding/json"
	"maps"
	"sort"
	"strconv"
	"strings"
	"time"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

const (
	// firstID is the id below the first one that the fleet uses; Samsara's look like it.
	firstID = 281474976710656
	// maxCreated is how many records a client may add to a collection.
	maxCreated = 10_000
	// createdOffset keeps the ids of created records apart from those of a small fleet.
	createdOffset = 1000
)

// record is one record of a collection. It is a value: a change makes a new one.
type record struct {
	n       uint64         // its number in its kind; generated values follow from it
	key     string         // the id in URLs
	overlay map[string]any // what clients have set; null is a member that was removed. Immutable
	home    *collection    // in which a client has created it; nil for a seeded record
	created time.Time      // zero for a seeded record
	changed time.Time      // zero for an unchanged seeded record
	// How far its counters are ahead of its drive, in metres and seconds.
	odometer, engine counter
}

// counter is how far a counter is ahead of its drive, because a client has set it.
type counter struct {
	ahead float64
	since time.Time
}

// at returns how far the counter is ahead at a time.
func (c counter) at(t time.Time) float64 {
	if t.Before(c.since) {
		return 0
	}
	return c.ahead
}

// isCreated reports whether a client has created the record.
func (r record) isCreated() bool { return r.home != nil }

// timeOf returns when a client created or changed the record, for a member with one of these times. It
// returns the zero time for other members.
func (r record) timeOf(m *member) time.Time {
	switch {
	case m.kind != text || m.shape != single:
	case isCreationTime(m.term):
		return r.created
	case isChangeTime(m.term):
		return r.changed
	}
	return time.Time{}
}

// collection is the records behind a group of paths. Seeded records have the numbers from 1 to seeded,
// records that clients create have numbers from offset on. It stores only what clients have done, so
// neither its size nor the time to find a record depends on how many are seeded. It is not safe for
// concurrent use: Sandbox has one lock for all collections, since a change to one may show in others.
type collection struct {
	*store
	noun       string             // the kind of its records, such as vehicle
	keyField   string             // the parameter for a single record, such as id
	keyRefers  bool               // it is the id of a record of another kind
	settable   map[string]bool    // members that clients can write
	required   map[string]bool    // members that creating a record requires
	ownIDs     bool               // clients give each record an id, which is not its key
	statuses   []*member          // members that tell the status of a record
	records    map[string]*member // members that its records have
	up         string             // the member that clients set to the id of the record above in the tree
	ties       []*tie
	attributed *attributed // that its records have, or that they are; nil for none
	readable   bool        // records can be read; of created records that cannot, only the number is stored
	own        bool        // it is readable, and some operation reads or creates its records
	general    bool        // it has the records of all collections with its store
	view       bool        // it has those of them whose type is its noun
	gathers    bool        // its records are readings: new ones replace the oldest
	// Lists in its records whose elements get ids from the server, and how many it has given.
	numbered map[string]bool
	things   uint64
}

// store is the records of one collection, or of several that show the same ones.
type store struct {
	seeded  uint64
	offset  uint64
	touched map[uint64]record // created or changed by clients, by number
	deleted map[uint64]bool
	keys    map[string]uint64 // numbers by the keys that clients chose
	created uint64
}

// newCollection returns the seeded records of a path.
func newCollection(path string, seeded uint64) *collection {
	return &collection{
		noun: nounOf(path), settable: map[string]bool{}, required: map[string]bool{}, records: map[string]*member{}, numbered: map[string]bool{},
		store: &store{
			seeded: seeded, offset: max(createdOffset, seeded+1),
			touched: map[uint64]record{}, deleted: map[uint64]bool{}, keys: map[string]uint64{},
		},
	}
}

// note notes the members that an operation lets clients write, and those that tell a record's status.
func (c *collection) note(op *operation) {
	if op.envelope.record != nil {
		for _, m := range op.envelope.record.members {
			if m.term.ends("status") && m.kind == text && m.shape == single && len(m.values) > 0 {
				c.statuses = append(c.statuses, m)
			}
		}
	}
	if op.effect != creates && op.effect != merges && op.effect != replaces {
		return
	}
	written := op.inputs()
	if op.holds != nil {
		written = append(written, op.holds.schema.members...)
	}
	for _, m := range written {
		if m.rule.GetIn() == apiv1.Location_LOCATION_QUERY && op.effect != creates {
			continue
		}
		c.settable[m.name] = true
		if m.parent && m.refers {
			c.up = m.name
		}
		if op.effect == creates && m.rule.GetRequired() {
			c.required[m.name] = true
		}
		if op.effect == creates && m.shape == list && m.isRecord() && !hasID(m.schema) {
			c.numbered[m.name] = true
		}
	}
	if op.effect == creates && op.holds != nil && op.holds.shape == single && op.holds.schema.named["id"] != nil {
		c.ownIDs = true
	}
	if op.each != nil {
		c.settable[strings.TrimSuffix(op.each.name, "s")] = true
	}
}

// idOf returns the id of the n-th record of any collection.
func idOf(n uint64) string { return strconv.FormatUint(firstID+n, 10) }

// numberOfID returns the number that an id stands for, 0 if it cannot be an id of the fleet's.
func numberOfID(id string) uint64 {
	v, err := strconv.ParseUint(id, 10, 64)
	if err != nil || v < firstID {
		return 0
	}
	return v - firstID
}

// order is a list of numbers, ascending.
type order struct {
	count int
	at    func(i int) uint64
}

// past returns the index of the first number above n.
func (o order) past(n uint64) int {
	return sort.Search(o.count, func(i int) bool { return o.at(i) > n })
}

// all returns the numbers of all records, deleted ones included.
func (c *collection) all() order {
	return order{count: int(c.seeded + c.created), at: func(i int) uint64 { // bounded by MaxFleet and maxCreated
		if n := uint64(i) + 1; n <= c.seeded {
			return n
		}
		return c.offset + uint64(i) - c.seeded
	}}
}

// get returns the record of a number, if there is one.
func (c *collection) get(n uint64) (record, bool) {
	r, ok := c.touched[n]
	switch {
	case c.deleted[n]:
		return record{}, false
	case !ok && n >= 1 && n <= c.seeded:
		return record{n: n, key: idOf(n)}, true
	}
	return r, ok && c.shows(r)
}

// shows reports whether a record that clients have created or changed is in the collection. The type of an
// asset says whether it is also in the collection of trailers.
func (c *collection) shows(r record) bool {
	is := jsonText(r.overlay["type"])
	switch {
	case c.general:
		return true
	case c.view && (r.isCreated() || is != ""):
		return is == c.noun
	}
	return r.home == nil || r.home == c
}

// first returns the first live record, or the first seeded one as it was if all are deleted.
func (c *collection) first() record {
	if found := (listing{of: c, order: c.all()}).after(0, 1); len(found) > 0 {
		return found[0]
	}
	return record{n: 1, key: idOf(1)}
}

// find returns the record with an id or, as key:value, an external id.
func (c *collection) find(id string) (record, bool) {
	if r, ok := c.get(numberOfID(id)); ok && r.key == id {
		return r, true
	}
	if r, ok := c.get(c.keys[id]); ok && r.key == id {
		return r, true
	}
	// The aliases of a seeded record end in its number.
	if r, ok := c.get(lastNumber(id)); ok && c.isAlias(r, id) {
		return r, true
	}
	if !strings.Contains(id, ":") {
		return record{}, false
	}
	var found record
	for n := range c.touched {
		if r, ok := c.get(n); ok && (found.n == 0 || n < found.n) && c.isAlias(r, id) {
			found = r
		}
	}
	return found, found.n != 0
}

// named returns a record with a name.
func (c *collection) named(name string) (record, bool) {
	// The name of a seeded record ends in its number.
	if r, ok := c.get(lastNumber(name)); ok && !r.isCreated() && r.overlay["name"] == nil && nameOf(c.noun, r.n) == name {
		return r, true
	}
	for n := range c.touched {
		if r, ok := c.get(n); ok && r.overlay["name"] == name {
			return r, true
		}
	}
	return record{}, false
}

// lastNumber returns the number in the last six digits of a text, hyphens left out.
func lastNumber(s string) uint64 {
	n, unit := uint64(0), uint64(1)
	for i := len(s) - 1; i >= 0 && unit < 1_000_000; i-- {
		switch {
		case s[i] >= '0' && s[i] <= '9':
			n, unit = n+uint64(s[i]-'0')*unit, unit*10
		case s[i] != '-':
			return n
		}
	}
	return n
}

// isAlias reports whether a record has an id besides its key: an external one, or a seeded name
// or serial number.
func (c *collection) isAlias(r record, id string) bool {
	if name, value, ok := strings.Cut(id, ":"); ok {
		if given := jsonText(r.overlay["id"]); given != "" && name == c.noun+"Id" && c.ownIDs {
			return given == value
		}
		external, overlaid := r.overlay["externalIds"].(map[string]any)
		if !overlaid && !r.isCreated() {
			external = externalIDs(c.noun, r.n)
		}
		return external[name] == value
	}
	if r.overlay[c.keyField] != nil || r.isCreated() {
		return false // its key, or neither name nor serial number
	}
	return c.keyField == "name" && id == nameOf(c.noun, r.n) || c.noun == "gateway" && id == serialOf(r.n)
}

// add makes a record of what a client sent. If its key is the id of a record of another kind, as a route's
// setup has the route's id, it replaces the seeded record with this key. Other keys must be new.
func (c *collection) add(overlay map[string]any, now time.Time) (record, *refusal) {
	n := c.offset + c.created
	r := record{n: n, key: idOf(n), overlay: overlay, home: c, created: now, changed: now}
	if !c.readable {
		c.created++
		return r, nil
	}
	if name, given := c.givenKey(overlay); given != "" {
		if other, ok := c.find(given); ok {
			if !c.keyRefers || other.isCreated() {
				return record{}, refuse(takenStatus(c.noun), "%s: there is a %s %s already", name, words(c.noun), quote(given))
			}
			r.n = other.n
		}
		r.key = given
	} else if c.ownIDs {
		r.key = uuidOf(mixNumber(mix(0, c.noun), n)) // the client's id is another one
	}
	if r.n == n {
		c.created++
	}
	if r.key != idOf(r.n) {
		c.keys[r.key] = r.n
	}
	r = c.bind(r, true)
	c.touched[r.n] = r
	return r, nil
}

// room reports whether so many more records may be created.
func (c *collection) room(n int) bool {
	return !c.readable || c.created+uint64(n) <= maxCreated
}

// forget makes room for a reading by dropping the oldest one.
func (c *collection) forget() {
	delete(c.touched, c.offset)
	c.offset++
	c.created--
}

// givenKey returns the member that holds the key that a client chose for a record, and the key. The key is
// empty if it chose none.
func (c *collection) givenKey(overlay map[string]any) (name, key string) {
	name = c.keyField
	if c.noun == "gateway" {
		name = "serial"
	}
	if name == "id" {
		return "", ""
	}
	return name, jsonText(overlay[name])
}

// assigns reports whether a record that clients create gets from the server a member that they cannot set:
// a required one, its id, its status and times, a link to it, or a secret.
func (c *collection) assigns(m *member) bool {
	t := m.term
	switch {
	case m.answered, t.is("id"):
		return true
	case m.kind == object, m.shape != single:
		return false
	}
	return t.is("uuid", "isdeactivated") || t.ends("status") && len(m.values) > 0 || t.has("created", "url", "link", "secret") || isChangeTime(t)
}

// unset returns the value of a member that the client could set when it created the record, and did not:
// none or, if the member is required, an empty one. The result is false if the server assigns a value: to
// members that are never empty, and to times for which the documentation has a default.
func (m *member) unset() (any, bool) {
	switch {
	case m.term.is("id", "driveractivationstatus"):
		return nil, false
	case !m.answered:
		return nil, true
	case m.isTime && m.kind == text && m.shape == single && !m.term.is("starttime", "activetime", "shiftstarttime"):
		return never, true
	case m.refers && m.kind == text && m.shape == single && m.rule.GetFormat() == "":
		return "", true // refers to no record
	case m.isTime, m.refers, m.shape != single, len(m.values) > 0, m.rule.GetFormat() != "", m.rule.Minimum != nil:
		return nil, false
	case m.kind == text:
		return "", true
	case m.kind == whole, m.kind == real:
		return json.Number("0"), true
	case m.kind == truth:
		return false, true
	case m.kind == free:
		return map[string]any{}, true
	}
	return nil, false
}

// update replaces the overlay of a record.
func (c *collection) update(r record, overlay map[string]any, now time.Time) record {
	r.overlay, r.changed = overlay, now
	r = c.bind(c.wind(r, now), false)
	c.touched[r.n] = r
	return r
}

// wind takes counters out of the overlay of a record whose answers do not have them. From now on they count
// from the value that a client has set.
func (c *collection) wind(r record, now time.Time) record {
	set := func(to *counter, name string, unit, counted float64) {
		v, sent := r.overlay[name]
		if !sent || c.records[name] != nil {
			return
		}
		delete(r.overlay, name)
		to.since, to.ahead = now.Truncate(Tick), 0
		if v != nil {
			to.ahead = numberIn(jsonText(v))*unit - counted
		}
	}
	d := driveOf(r.n)
	set(&r.odometer, "odometerMeters", 1, d.odometer(ageAt(now)))
	set(&r.engine, "engineHours", secondsPerHour, d.engineSeconds(ageAt(now)))
	return r
}

// remove deletes a record. Nothing is related to it any more.
func (c *collection) remove(r record) {
	for _, t := range c.ties {
		t.set(r.key, nil)
	}
	if c.attributed != nil {
		c.attributed.forget(c, r)
	}
	c.deleted[r.n] = true
	delete(c.touched, r.n)
	delete(c.keys, r.key)
}

// above returns the id of a record's parent in the tree of its kind, empty if it has none.
func (c *collection) above(r record) string {
	set, ok := r.overlay[c.up]
	switch {
	case c.up == "" || !ok && (r.isCreated() || r.n <= 1):
		return ""
	case !ok:
		return idOf(parentOf(r.n, c.seeded))
	}
	return jsonText(set)
}

// isWithin reports whether a record is the one with an id, or below it.
func (c *collection) isWithin(r record, id string) bool {
	for {
		if r.key == id {
			return true
		}
		above := c.above(r)
		if above == "" {
			return false
		}
		var ok bool
		if r, ok = c.find(above); !ok {
			return false
		}
	}
}

// merged returns overlay with a merge patch (RFC 7396) applied. shown is the record as clients see it, for
// objects of which the patch has only some members.
func merged(overlay, shown, patch map[string]any) map[string]any {
	out := maps.Clone(overlay)
	if out == nil {
		out = map[string]any{}
	}
	for name, v := range patch {
		if change, ok := v.(map[string]any); ok {
			before, _ := shown[name].(map[string]any)
			v = mergePatch(before, change)
		}
		out[name] = v
	}
	return out
}

func mergePatch(target, patch map[string]any) map[string]any {
	out := maps.Clone(target)
	if out == nil {
		out = map[string]any{}
	}
	for name, v := range patch {
		change, ok := v.(map[string]any)
		switch {
		case v == nil:
			delete(out, name)
		case ok:
			before, _ := out[name].(map[string]any)
			out[name] = mergePatch(before, change)
		default:
			out[name] = v
		}
	}
	return out
}

// replacement returns an overlay with values, the members of a body. It lacks all other members that a body
// could set, except the required ones.
func (c *collection) replacement(r record, body *schema, values map[string]any) map[string]any {
	out := maps.Clone(values)
	if out == nil {
		out = map[string]any{}
	}
	if body == nil {
		return out
	}
	for _, m := range body.members {
		if _, ok := out[m.name]; ok || m.rule.GetIn() != apiv1.Location_LOCATION_BODY {
			continue
		}
		if was, ok := r.overlay[m.name]; ok && c.required[m.name] {
			out[m.name] = was
		} else if !c.required[m.name] {
			out[m.name] = nil
		}
	}
	return out
}
