package transcode

import (
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Missing returns the paths of required fields that m lacks, in the order in which they would be written and
// at most limit of them. Fields of absent messages are not required. Lists and maps are never missing: an
// empty one is sent.
func (e *Encoder) Missing(m protoreflect.Message, limit int) []string {
	search := absence{limit: limit}
	search.object(e.top, m, 0)
	return search.found
}

// absence collects the paths of missing fields.
type absence struct {
	path  []byte // of the object being searched, for reuse
	found []string
	limit int
}

func (s *absence) object(o *objectWriter, m protoreflect.Message, depth int) {
	// What lies deeper is refused by Append.
	if o == nil || !o.demands || depth > MaxDepth {
		return
	}
	outer := len(s.path)
	for i := range o.members {
		f := &o.members[i]
		if len(s.found) >= s.limit {
			return
		}
		if outer > 0 {
			s.path = append(s.path, '.')
		}
		s.path = append(s.path, f.name...)
		if m.Has(f.field) {
			s.member(f, m.Get(f.field), depth)
		} else if f.required && f.shape == singular && !o.has(f.line, m) {
			s.found = append(s.found, string(s.path))
		}
		s.path = s.path[:outer]
	}
}

func (s *absence) member(f *memberWriter, v protoreflect.Value, depth int) {
	inner := f.value.object
	if inner == nil {
		return
	}
	at := len(s.path)
	switch f.shape {
	case singular:
		s.object(inner, v.Message(), depth+1)
	case list:
		for i := range v.List().Len() {
			s.path = append(s.path[:at], indexSegment(i)...)
			s.object(inner, v.List().Get(i).Message(), depth+1)
		}
	case dictionary:
		for _, e := range sortedEntries(v.Map()) {
			s.path = append(s.path[:at], keySegment(e.key)...)
			s.object(inner, e.value.Message(), depth+1)
		}
	}
}
