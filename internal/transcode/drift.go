package transcode

import "unicode/utf8"

// Kind says in what way a response differed from its descriptor.
type Kind uint8

// The kinds of drift.
const (
	// Unknown is a member that the message does not have. It is skipped.
	Unknown Kind = iota + 1
	// Coerced is a value of another JSON type that was taken without loss: a number for text,
	// a number's text for a number, a bool for its text or the reverse.
	Coerced
	// Mismatch is a value that cannot be taken without loss. The field is left unset, a list
	// or map goes without that element.
	Mismatch
	// Duplicate is a second member of one name. The first one counts.
	Duplicate
	// InvalidText is text with invalid UTF-8 or a lone surrogate, each replaced by U+FFFD.
	InvalidText
	// TooDeep is a google.protobuf.Value nested deeper than MaxValueDepth. It is left unset.
	TooDeep
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
	default:
		return "none"
	}
}

// Finding is one way in which a response differed from its descriptor.
type Finding struct {
	// Message is the message's name without its package, such as "Vehicle".
	Message string
	// Member is the JSON member's name. It comes from the upstream: it is valid UTF-8 of at
	// most 64 bytes, a longer name being cut, and otherwise arbitrary.
	Member string
	Kind   Kind
	// Count is how often it occurred, at least 1.
	Count int
}

// Drift collects findings, at most MaxFindings different ones. The zero value is ready for
// use; it is not safe for concurrent use.
type Drift struct {
	findings []Finding
	dropped  int
}

// MaxFindings is how many different findings a Drift holds.
const MaxFindings = 32

// maxMemberBytes bounds Finding.Member, which ends up in trailers and logs.
const maxMemberBytes = 64

// Findings returns what was found, in order of first occurrence. The slice is valid until Reset.
func (d *Drift) Findings() []Finding { return d.findings }

// Dropped returns how many occurrences did not fit.
func (d *Drift) Dropped() int { return d.dropped }

// Reset empties d for another use, which then needs less memory.
func (d *Drift) Reset() {
	clear(d.findings)
	d.findings = d.findings[:0]
	d.dropped = 0
}

// record counts one occurrence; member is valid UTF-8. It allocates only for a new finding, so
// that a member drifting in every element of a long list costs no garbage. A nil d counts
// nothing.
func (d *Drift) record(message string, member []byte, kind Kind) {
	if d == nil {
		return
	}
	if len(member) > maxMemberBytes {
		end := maxMemberBytes
		for !utf8.RuneStart(member[end]) {
			end--
		}
		member = member[:end]
	}
	for i := range d.findings {
		if f := &d.findings[i]; f.Kind == kind && f.Member == string(member) && f.Message == message {
			f.Count++
			return
		}
	}
	if len(d.findings) == MaxFindings {
		d.dropped++
		return
	}
	d.findings = append(d.findings, Finding{Message: message, Member: string(member), Kind: kind, Count: 1})
}
