package sandbox

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// relation is a fact that the records of two kinds tell of each other, such as which tags a vehicle
// has and which vehicles a tag has. It is kept once: by the records of its left side. What those of
// its right side tell is derived. Seeded records relate to the one of their own number and, if width
// is 2, to the next one, too. It may hold the ids of records that have been deleted since.
type relation struct {
	width int    // 1 if no record has more than one of the other side
	size  uint64 // of the fleet
	// The ids of the right side, by those of the left side that clients have touched, and the
	// other way round.
	rights map[string][]string
	lefts  map[string]map[string]bool
}

func newRelation(width int, size uint64) *relation {
	return &relation{width: width, size: size, rights: map[string][]string{}, lefts: map[string]map[string]bool{}}
}

// of returns the ids that one of the left side relates to, in the order in which they were given.
func (r *relation) of(left string) []string {
	if ids, touched := r.rights[left]; touched {
		return ids
	}
	return r.seeded(left, func(n uint64, i int) uint64 { return ref(n, i, r.size) })
}

// to returns the ids that relate to one of the right side, in the order of their age.
func (r *relation) to(right string) []string {
	ids := r.seeded(right, func(n uint64, i int) uint64 { return ref(n+r.size, -i, r.size) })
	ids = slices.DeleteFunc(ids, func(left string) bool { _, touched := r.rights[left]; return touched })
	ids = slices.AppendSeq(ids, maps.Keys(r.lefts[right]))
	slices.SortFunc(ids, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) })
	return ids
}

// seeded returns the ids of the records that a seeded one relates to from the beginning.
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

// set makes rights the ones that left relates to, and no others.
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

// setTo makes lefts the ones that relate to right, and no others.
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

// tie is one side of a relation: the member by which records of a collection tell it.
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

// told returns the ids that a record tells of.
func (t *tie) told(key string) []string {
	if t.left {
		return t.of(key)
	}
	return t.to(key)
}

// others returns the ids of the records that tell of one on the other side.
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

// tie returns the tie that a member of a record, or of a body, stands for, nil for none.
func (c *collection) tie(name string) *tie {
	for _, t := range c.ties {
		if name == t.member || name == t.ids {
			return t
		}
	}
	return nil
}

// bind takes the members that tell of relations out of an overlay, and has the relations hold what
// they say. created says that the record is new: it relates to nothing else.
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

// relate finds the relations. Whatever has `tags` is told of by its tags, if these have a list that is
// named after it. Of two kinds that refer to one another by members of which the names differ only in
// what they refer to, such as staticAssignedVehicle and staticAssignedDriver, each has at most one of
// the other.
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

// tagging returns the relation between the records of a collection and tags, the same one for all
// collections with one store.
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

// pair ties the records of c to those that a member refers to, if these refer back by a member of the
// same name. It does so from the one of the two kinds that comes first.
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
