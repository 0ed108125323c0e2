package sandbox

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
)

const (
	// firstID is the id below the first one that the fleet uses; Samsara's look like it.
	firstID = 281474976710656
	// fleetSize is how many seeded records a collection has, with the ids after firstID.
	fleetSize = 12
	// maxCreated is how many records a client may add to a collection.
	maxCreated = 10_000
	// createdOffset keeps the ids of created records apart from those of seeded ones.
	createdOffset = 1000
)

// record is one record of a collection. It is a value: a change makes a new one.
type record struct {
	n       uint64         // which one of its kind; what is generated for it follows from this
	key     string         // the id in URLs
	overlay map[string]any // what clients have set; null is a member that was removed. Immutable
	changed time.Time      // zero for a record as the fleet began
}

// collection is the records behind a group of paths. It is safe for concurrent use.
type collection struct {
	noun     string // what one record is called, such as vehicle
	keyField string // the parameter by which single records are asked for, such as id
	readable bool   // records can be asked for, so that creating them means something

	mu      sync.Mutex
	records []record // ordered by n
	created uint64
}

// newCollection returns the seeded records of a path.
func newCollection(path string) *collection {
	c := &collection{noun: nounOf(path)}
	for n := range uint64(fleetSize) {
		c.records = append(c.records, record{n: n + 1, key: idOf(n + 1)})
	}
	return c
}

// idOf returns the id of the n-th record of any collection.
func idOf(n uint64) string { return strconv.FormatUint(firstID+n, 10) }

// all returns the live records in order. The slice is the caller's.
func (c *collection) all() []record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.records)
}

// first returns the first live record, or what it was where all are deleted.
func (c *collection) first() record {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.records) == 0 {
		return record{n: 1, key: idOf(1)}
	}
	return c.records[0]
}

// find returns the record that an id or, as key:value, an external id stands for.
func (c *collection) find(id string) (record, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.index(id); i >= 0 {
		return c.records[i], true
	}
	return record{}, false
}

func (c *collection) index(id string) int {
	return slices.IndexFunc(c.records, func(r record) bool { return r.key == id || c.isAlias(r, id) })
}

// isAlias reports whether a record has an id besides its key: an external one, or a seeded name
// or serial number.
func (c *collection) isAlias(r record, id string) bool {
	if name, value, ok := strings.Cut(id, ":"); ok {
		external, overlaid := r.overlay["externalIds"].(map[string]any)
		if !overlaid {
			external = externalIDs(c.noun, r.n)
		}
		return external[name] == value
	}
	if r.overlay[c.keyField] != nil {
		return false // its key
	}
	return c.keyField == "name" && id == nameOf(c.noun, r.n) || c.noun == "gateway" && id == serialOf(r.n)
}

// add makes records of what a client sent, all or none. Where the client chose a key, as of a
// function's name, the record takes the place of the one that has it. It refuses when the
// collection is full.
func (c *collection) add(overlays []map[string]any, now time.Time) ([]record, *refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.created+uint64(len(overlays)) > maxCreated {
		return nil, refuse(http.StatusBadRequest, "Configuration limit exceeded: at most %d records may be created", maxCreated)
	}
	added := make([]record, 0, len(overlays))
	for _, overlay := range overlays {
		n := createdOffset + c.created
		r := record{n: n, key: idOf(n), overlay: overlay, changed: now}
		place := -1
		if given := c.givenKey(overlay); given != "" {
			r.key = given
			place = c.index(given)
		}
		if place >= 0 {
			r.n = c.records[place].n
			c.records[place] = r
		} else {
			c.created++
			c.records = append(c.records, r)
		}
		added = append(added, r)
	}
	return added, nil
}

// givenKey returns the key that a client chose for a record, empty where it did not.
func (c *collection) givenKey(overlay map[string]any) string {
	for _, name := range []string{c.keyField, "serial"} {
		if given, ok := overlay[name].(string); ok && name != "id" && given != "" {
			return given
		}
	}
	return ""
}

// update replaces the overlay of a record by what change makes of the record. The second result is
// false where there is no such record.
func (c *collection) update(id string, now time.Time, change func(record) map[string]any) (record, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.index(id)
	if i < 0 {
		return record{}, false
	}
	c.records[i].overlay = change(c.records[i])
	c.records[i].changed = now
	return c.records[i], true
}

func (c *collection) remove(id string) (record, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.index(id)
	if i < 0 {
		return record{}, false
	}
	r := c.records[i]
	c.records = slices.Delete(c.records, i, i+1)
	return r, true
}

// merged returns overlay with a merge patch (RFC 7396) applied. shown is what the record looks
// like, for objects that are patched in part.
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

// replacement returns an overlay that has the members of body, and lacks every other one that
// a body could set.
func replacement(body *schema, values map[string]any) map[string]any {
	out := maps.Clone(values)
	if out == nil {
		out = map[string]any{}
	}
	if body == nil {
		return out
	}
	for _, m := range body.members {
		if _, ok := out[m.name]; !ok && m.rule.GetIn() == gatewayv1.Location_LOCATION_BODY {
			out[m.name] = nil
		}
	}
	return out
}
