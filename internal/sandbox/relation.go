package sandbox

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// relation is which records of two kinds belong together, such as the tags of a vehicle and the vehicles of
// a tag. It is stored once, by the records of its left side, and derived for those of its right side. Seeded
// records relate to the record of their own number and, if width is 2, to the next one, too. A relation may
// have ids of deleted records.
type relation struct {
	width int    // 1 if no record relates to more than one
	size  uint64 // of the fleet
	// The ids of the right side, by the ids of the left side that clients have touched, and the reverse.
	rights map[string][]string
	lefts  map[string]map[string]bool
}

func newRelation(width int, size uint64) *relation {
	return &relation{width: width, size: size, rights: map[string][]string{}, lefts: map[string]map[string]bool{}}
}

// of returns the ids that a record of the left side relates to, in the order in which they were given.
func (r *relation) of(left string) []string {
	if ids, touched := r.rights[left]; touched {
		return ids
	}
	return r.seeded(left, func(n uint64, i int) uint64 { return ref(n, i, r.size) })
}

// to returns the ids that relate to a record of the right side, oldest first.
func (r *relation) to(right string) []string {
	ids := r.seeded(right, func(n uint64, i int) uint64 { return ref(n+r.size, -i, r.size) })
	ids = slices.DeleteFunc(ids, func(left string) bool { _, touched := r.rights[left]; return touched })
	ids = slices.AppendSeq(ids, maps.Keys(r.lefts[right]))
	slices.SortFunc(ids, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) })
	return ids
}

// seeded returns the ids of the records that a seeded record relates to before clients change it.
func (r *relation) seeded(id string, other func(n uint64, i int) uint64) []string {
	n := numberOfID(id)
	if n < 1 || n > r.size {
		return nil
	}
	ids := make([]string, 0, r.width)
	for i := range min(r.width, int(min(r.size, listSize))) {
		ids = append(ids, idOf(other(n, i)))
	}
	return ids
}

// set relates left to rights only.
func (r *relation) set(left string, rights []string) {
	if r.width == 1 {
		for _, right := range rights {
			for _, other := range r.to(right) {
				if other != left {
					r.put(other, nil)
				}
			}
		}
	}
	r.put(left, rights)
}

func (r *relation) put(left string, rights []string) {
	for _, right := range r.rights[left] {
		if delete(r.lefts[right], left); len(r.lefts[right]) == 0 {
			delete(r.lefts, right)
		}
	}
	kept := make([]string, 0, len(rights))
	for _, right := range rights {
		if r.lefts[right] == nil {
			r.lefts[right] = map[string]bool{}
		}
		if !r.lefts[right][left] {
			r.lefts[right][left] = true
			kept = append(kept, right)
		}
	}
	r.rights[left] = kept
}

// setTo relates only lefts to right.
func (r *relation) setTo(right string, lefts []string) {
	for _, left := range r.to(right) {
		if !slices.Contains(lefts, left) {
			r.put(left, slices.DeleteFunc(slices.Clone(r.of(left)), func(id string) bool { return id == right }))
		}
	}
	for _, left := range lefts {
		switch has := r.of(left); {
		case slices.Contains(has, right):
		case r.width == 1:
			r.set(left, []string{right})
		default:
			r.put(left, append(slices.Clone(has), right))
		}
	}
}

// tie is one side of a relation: the member of a collection's records for it.
type tie struct {
	*relation
	left   bool
	member string // such as tags, or staticAssignedVehicle
	ids    string // the member for the ids: tagIds, or staticAssignedVehicleId
	noun   string // of the records on the other side
}

func (r *relation) tie(left bool, m *member) *tie {
	if m.shape == list {
		return &tie{r, left, m.name, singular(m.name) + "Ids", m.noun}
	}
	return &tie{r, left, m.name, m.name + "Id", m.noun}
}

// told returns the ids of the records that a record relates to.
func (t *tie) told(key string) []string {
	if t.left {
		return t.of(key)
	}
	return t.to(key)
}

// others returns the ids of the records that relate to a record of the other side.
func (t *tie) others(id string) []string {
	if t.left {
		return t.to(id)
	}
	return t.of(id)
}

func (t *tie) set(key string, ids []string) {
	if t.left {
		t.relation.set(key, ids)
	} else {
		t.setTo(key, ids)
	}
}

// tie returns the tie of a member of a record or a body, nil if it has none.
func (c *collection) tie(name string) *tie {
	for _, t := range c.ties {
		if name == t.member || name == t.ids {
			return t
		}
	}
	return nil
}

// bind moves the members of relations from an overlay to the relations. created says that the record is
// new: it relates to no other records.
func (c *collection) bind(r record, created bool) record {
	for _, t := range c.ties {
		if created && t.left {
			t.set(r.key, nil)
		}
	}
	for name, v := range r.overlay {
		if t := c.tie(name); t != nil {
			delete(r.overlay, name)
			t.set(r.key, idsIn(v))
		}
	}
	if c.attributed != nil {
		c.attributed.set(c, r)
	}
	return r
}

// idsIn returns the ids in a value that refers to records: an id, an object with one, or a list of
// either.
func idsIn(v any) []string {
	switch v := v.(type) {
	case []any:
		var ids []string
		for _, element := range v {
			ids = append(ids, idsIn(element)...)
		}
		return ids
	case map[string]any:
		return idsIn(v["id"])
	}
	if id := jsonText(v); id != "" {
		return []string{id}
	}
	return nil
}

// relate finds the relations. Records with `tags` are also in a list of their tags, if tags have a list
// that is named after them. Two kinds may refer to each other by members whose names differ only in the
// kind, such as staticAssignedVehicle and staticAssignedDriver: each record then relates to at most one.
func (k kinds) relate(size uint64) {
	for _, noun := range slices.Sorted(maps.Keys(k)) {
		for _, c := range k[noun] {
			if m := c.records["tags"]; m != nil && m.shape == list && m.isReference() && len(k[tagNoun]) > 0 {
				c.ties = append(c.ties, k.tagging(c, size).tie(true, m))
			}
			for _, name := range slices.Sorted(maps.Keys(c.records)) {
				c.pair(c.records[name], k, size)
			}
		}
	}
}

const tagNoun = "tag"

// tagging returns the relation between the records of a collection and tags. Collections with one store
// have the same relation.
func (k kinds) tagging(c *collection, size uint64) *relation {
	tags := k[tagNoun][0]
	for _, t := range tags.ties {
		if k[t.noun][0].store == c.store {
			return t.relation
		}
	}
	r := newRelation(listSize, size)
	for _, name := range slices.Sorted(maps.Keys(tags.records)) {
		m := tags.records[name]
		if cs := k[m.noun]; m.shape == list && m.isReference() && len(cs) > 0 && cs[0].store == c.store {
			tags.ties = append(tags.ties, r.tie(false, m))
		}
	}
	return r
}

// pair ties the records of c to those that a member refers to, if these refer back by a member with the
// same prefix. It does so for the first of the two kinds by name.
func (c *collection) pair(m *member, k kinds, size uint64) {
	prefix, ok := strings.CutSuffix(m.name, capital(m.noun))
	others := k[m.noun]
	if !ok || prefix == "" || len(others) == 0 || c.noun >= m.noun || m.shape != single || !m.isReference() {
		return
	}
	back := others[0].records[prefix+capital(c.noun)]
	if back == nil || back.shape != single || !back.isReference() {
		return
	}
	both := newRelation(1, size)
	c.ties = append(c.ties, both.tie(true, m))
	others[0].ties = append(others[0].ties, both.tie(false, back))
}
