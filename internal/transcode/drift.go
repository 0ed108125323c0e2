package transcode

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

// Finding is one way in which a response differed from its descriptor.
type Finding struct {
	// Message is the message's name without its package, such as "Vehicle".
	Message string
	// Member is the JSON member's name. It comes from the upstream: it is bounded in length
	// and valid UTF-8, and otherwise arbitrary.
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

// Findings returns what was found, in order of first occurrence. The slice is valid until Reset.
func (d *Drift) Findings() []Finding { return d.findings }

// Dropped returns how many occurrences did not fit.
func (d *Drift) Dropped() int { return d.dropped }
