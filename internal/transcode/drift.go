package transcode

import (
	"slices"
	"unicode/utf8"
)

// Kind says in what way a response differed from its descriptor.
type Kind uint8

// The kinds of drift.
const (
	// Unknown is a member that the message does not have. It is skipped.
	Unknown Kind = iota + 1
	// Coerced is a value of another JSON type that was taken without loss: a number for text,
	// a number's text for a number, a bool for its text or the reverse, and in a map of strings an
	// array or object for its JSON.
	Coerced
	// Mismatch is a value that cannot be taken without loss. The field is left unset, and a list or map lacks
	// that element.
	Mismatch
	// Duplicate is a second member of one name, or of another name of the same field. The first one
	// counts.
	Duplicate
	// InvalidText is text with invalid UTF-8 or a lone surrogate, each replaced by U+FFFD.
	InvalidText
	// TooDeep is a google.protobuf.Value nested deeper than MaxValueDepth, or a value nested deeper
	// than MaxDepth that is not skipped. It is left unset.
	TooDeep
	// NullEntry is null as an entry of a list or map that cannot hold it. The entry is left out, so that the
	// later entries of a list move up.
	NullEntry
	// Wrapped is an answer that holds under `data` what the message has at its top, or the
	// reverse: an object, or a list without one around it. It was read nevertheless. Its member is "*".
	Wrapped
	// NoBody is an answer that is missing or empty though one is declared. Its member is "*".
	NoBody
)

// String returns the kind in lower case, its words joined by underscores: "too_deep".
func (k Kind) String() string {
	switch k {
	case Unknown:
		return "unknown"
	case Coerced:
		return "coerced"
	case Mismatch:
		return "mismatch"
	case Duplicate:
		return "duplicate"
	case InvalidText:
		return "invalid_text"
	case TooDeep:
		return "too_deep"
	case NullEntry:
		return "null_entry"
	case Wrapped:
		return "wrapped"
	case NoBody:
		return "no_body"
	default:
		return "none"
	}
}

// Finding is one way in which a response differed from its descriptor.
type Finding struct {
	// Message is the message's name without its package, such as "Vehicle".
	Message string
	// Member is the JSON member's name: valid UTF-8, cut to MaxMemberBytes. It is otherwise arbitrary if it
	// is Foreign.
	Member string
	// Foreign is whether the message has no such member: the name is the upstream's own.
	Foreign bool
	Kind    Kind
	// Count is how often it occurred, at least 1.
	Count int
}

// Drift collects findings, at most MaxFindings different ones. The zero value is ready for
// use; it is not safe for concurrent use.
type Drift struct {
	findings []Finding
	dropped  int
	// byRecord is whether records are told apart. record is the number of the record that is being read, from
	// 1 on; 0 outside of records. occurred is what was found in records.
	byRecord bool
	record   int
	occurred []occurrence
}

// occurrence is how often a record differs in the way of a finding.
type occurrence struct {
	finding, record, count int32
}

// maxOccurrences is how many differences of records a Drift tells apart. Further ones count as if they
// were outside of records.
const maxOccurrences = 4096

// MaxFindings is how many different findings a Drift holds.
const MaxFindings = 32

// MaxMemberBytes bounds Finding.Member, which ends up in trailers.
const MaxMemberBytes = 64

// Findings returns what was found, in order of first occurrence. The slice is valid until Reset.
func (d *Drift) Findings() []Finding { return d.findings }

// Dropped returns how many occurrences did not fit.
func (d *Drift) Dropped() int { return d.dropped }

// Reset empties d for another use.
func (d *Drift) Reset() {
	d.findings = d.findings[:0]
	d.occurred = d.occurred[:0]
	d.dropped, d.record = 0, 0
}

// ByRecord makes d tell records apart, for First. The Decoder must know the records: see
// [Decoder.SetRecords].
func (d *Drift) ByRecord() { d.byRecord = true }

// at says which record is being read.
func (d *Drift) at(record int) {
	if d != nil && d.byRecord {
		d.record = record
	}
}

// First returns the drift of the message with only its first records, as many as given. What was found
// outside of records remains. What was dropped before a record counts as found in that one. d is not changed.
func (d *Drift) First(records int64) Drift {
	first := Drift{findings: slices.Clone(d.findings), dropped: d.dropped}
	for _, o := range d.occurred {
		if int64(o.record) > records {
			first.findings[o.finding].Count -= int(o.count)
		}
	}
	first.findings = slices.DeleteFunc(first.findings, func(f Finding) bool { return f.Count == 0 })
	return first
}

// Rename replaces the names that are the upstream's own.
func (d *Drift) Rename(name func(member string) string) {
	for i := range d.findings {
		if f := &d.findings[i]; f.Foreign {
			f.Member = name(f.Member)
		}
	}
}

// count counts one occurrence; member is valid UTF-8. A nil d counts nothing. What drifts once does so in
// every element and in every response: so count allocates neither for what d holds, nor for what d held at
// the same index before Reset.
func (d *Drift) count(message string, member []byte, kind Kind, foreign bool) {
	if d == nil {
		return
	}
	if len(member) > MaxMemberBytes {
		end := MaxMemberBytes
		for !utf8.RuneStart(member[end]) {
			end--
		}
		member = member[:end]
	}
	for i := range d.findings {
		if f := &d.findings[i]; f.Kind == kind && f.Member == string(member) && f.Message == message {
			f.Count++
			if d.record > 0 {
				d.occur(i)
			}
			return
		}
	}
	if len(d.findings) == MaxFindings {
		d.dropped++
		return
	}
	n := len(d.findings)
	if n < cap(d.findings) {
		d.findings = d.findings[:n+1]
	} else {
		d.findings = append(d.findings, Finding{})
	}
	f := &d.findings[n]
	f.Message, f.Kind, f.Foreign, f.Count = message, kind, foreign, 1
	if f.Member != string(member) {
		f.Member = string(member)
	}
	if d.record > 0 {
		d.occur(n)
	}
}

// occur counts one occurrence of a finding in the record that is being read.
func (d *Drift) occur(finding int) {
	o := occurrence{finding: int32(finding), record: int32(d.record), count: 1}
	last := len(d.occurred) - 1
	switch {
	case last >= 0 && d.occurred[last].finding == o.finding && d.occurred[last].record == o.record:
		d.occurred[last].count++
	case last+1 < maxOccurrences:
		d.occurred = append(d.occurred, o)
	}
}
