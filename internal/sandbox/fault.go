package sandbox

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The headers by which a client asks for faults.
const (
	// FaultHeader holds the text form of a Fault that applies to the request it is on.
	FaultHeader = "Samsara-Sandbox-Fault"
	// AttemptHeader holds the number, from 1, of the attempt within its call. With it a
	// fault's First counts the attempts of that call instead of the sandbox's requests.
	AttemptHeader = "Samsara-Sandbox-Attempt"
)

// MaxFaultDelay bounds a fault's Latency and RetryAfter.
const MaxFaultDelay = 10 * time.Minute

// OddPage is what is odd about a page that is read forwards by cursor. It changes no other reply.
type OddPage string

const (
	// PageWhole is a page with nothing odd about it.
	PageWhole OddPage = ""
	// PageShort has at most half as many records as were asked for. Samsara's contract allows it.
	PageShort OddPage = "short"
	// PageEmpty has no records, a next page and a new cursor for the position that the request
	// began at. Samsara's contract allows it.
	PageEmpty OddPage = "empty"
	// PageNull has null for its list if it has no records. Samsara does so.
	PageNull OddPage = "null"
	// PageNoCursor has a next page, and no cursor to it. A contract violation.
	PageNoCursor OddPage = "no-cursor"
	// PageSameCursor has a next page, and a cursor that leads to this page again: the one that
	// was sent, if one was. A contract violation.
	PageSameCursor OddPage = "same-cursor"
)

// Fault is a way in which the sandbox misbehaves. Reset wins over Status, Status over Page, Drift and
// Truncate; Latency goes before each of them. A request that is reset or answered with Status has no
// effect on the sandbox's records; one whose reply is only late, drifted or truncated has.
type Fault struct {
	// Status is the HTTP status to answer, 400 to 599; 0 for the true answer.
	Status int
	// RetryAfter is sent as Retry-After in decimal seconds, with Status or without; 0 for none.
	RetryAfter time.Duration
	// Latency is the time to wait before answering.
	Latency time.Duration
	// Page is what is odd about the page that is answered.
	Page OddPage
	// Drift puts a member into each record that is answered, sandboxDrift, which no message has. Samsara
	// adds members without notice.
	Drift bool
	// Truncate cuts the reply's body in half, with Content-Length of the whole. A reply
	// without a body is not changed.
	Truncate bool
	// Reset closes the connection with a TCP reset instead of answering.
	Reset bool
	// First is how many requests are affected, counted from the first; 0 for all.
	First int
	// Nth is the one request that is affected, counted from 1 among the requests to Match; 0 for all.
	Nth int
	// Share is the fraction of requests that is affected, above 0 and below 1; 0 for all.
	Share float64
	// Match is the path that is affected. If it ends in *, it is a prefix of the paths affected.
	// Empty for every path.
	Match string
}

// ParseFault reads the text form of a fault: items joined by semicolons, in any order, spaces
// around them ignored, each at most once:
//
//	status=503; retry-after=0.4; latency=200ms; page=empty; drift; truncate; reset; first=2; nth=3; share=0.2; match=/fleet/*
//
// At least one of status, retry-after, latency, page, drift, truncate and reset is required. A request
// must satisfy all of first, nth, share and match that are given. The error names every item that is wrong.
func ParseFault(s string) (Fault, error) {
	var (
		f    Fault
		errs []error
		seen = map[string]bool{}
	)
	for item := range strings.SplitSeq(s, ";") {
		key, value, hasValue := strings.Cut(strings.TrimSpace(item), "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case key == "" && !hasValue:
			continue // a trailing semicolon
		case seen[key]:
			errs = append(errs, fmt.Errorf("%s: given twice", shorten(key)))
			continue
		}
		seen[key] = true
		if rule := f.set(key, value, hasValue); rule != "" {
			errs = append(errs, fmt.Errorf("%s: %s", shorten(key), rule))
		}
	}
	if len(errs) == 0 && !f.doesSomething() {
		errs = append(errs, fmt.Errorf("%s: needs one of status, retry-after, latency, page, drift, truncate and reset", quote(s)))
	}
	if len(errs) > 0 {
		return Fault{}, errors.Join(errs...)
	}
	return f, nil
}

// set sets one item. It returns the rule that the item breaks, with the value; empty if it breaks none.
func (f *Fault) set(key, value string, hasValue bool) string {
	switch key {
	case "drift", "truncate", "reset":
		if hasValue {
			return fmt.Sprintf("takes no value, has %s", quote(value))
		}
		f.Drift = f.Drift || key == "drift"
		f.Truncate = f.Truncate || key == "truncate"
		f.Reset = f.Reset || key == "reset"
		return ""
	case "status", "first", "nth":
		return f.setCount(key, value)
	case "retry-after":
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil || !(seconds >= 1e-9 && seconds <= MaxFaultDelay.Seconds()) {
			return fmt.Sprintf("must be decimal seconds above 0 and at most %v, is %s", MaxFaultDelay.Seconds(), quote(value))
		}
		f.RetryAfter = time.Duration(math.Round(seconds * float64(time.Second)))
	case "latency":
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 || d > MaxFaultDelay {
			return fmt.Sprintf("must be a duration such as 200ms, above 0 and at most %s, is %s", MaxFaultDelay, quote(value))
		}
		f.Latency = d
	case "page":
		switch p := OddPage(value); p {
		case PageShort, PageEmpty, PageNull, PageNoCursor, PageSameCursor:
			f.Page = p
		default:
			return fmt.Sprintf("must be short, empty, null, no-cursor or same-cursor, is %s", quote(value))
		}
	case "share":
		share, err := strconv.ParseFloat(value, 64)
		if err != nil || !(share > 0 && share < 1) {
			return fmt.Sprintf("must be a number above 0 and below 1, is %s", quote(value))
		}
		f.Share = share
	case "match":
		if !strings.HasPrefix(value, "/") || strings.Contains(strings.TrimSuffix(value, "*"), "*") {
			return fmt.Sprintf("must begin with a slash and may have one * at its end, is %s", quote(value))
		}
		f.Match = value
	default:
		return "is not an item of a fault"
	}
	return ""
}

func (f *Fault) setCount(key, value string) string {
	n, err := strconv.Atoi(value)
	switch {
	case key == "status" && (err != nil || n < 400 || n > 599):
		return fmt.Sprintf("must be an HTTP status from 400 to 599, is %s", quote(value))
	case key == "status":
		f.Status = n
	case err != nil || n < 1:
		return fmt.Sprintf("must be a whole number of at least 1, is %s", quote(value))
	case key == "nth":
		f.Nth = n
	default:
		f.First = n
	}
	return ""
}

func (f *Fault) doesSomething() bool {
	return f.Status != 0 || f.RetryAfter != 0 || f.Latency != 0 || f.Page != PageWhole || f.Drift || f.Truncate || f.Reset
}

// String returns the text form, which ParseFault reads back to an equal fault.
func (f Fault) String() string {
	var items []string
	if f.Status != 0 {
		items = append(items, "status="+strconv.Itoa(f.Status))
	}
	if f.RetryAfter != 0 {
		items = append(items, "retry-after="+decimalSeconds(f.RetryAfter))
	}
	if f.Latency != 0 {
		items = append(items, "latency="+f.Latency.String())
	}
	if f.Page != PageWhole {
		items = append(items, "page="+string(f.Page))
	}
	if f.Drift {
		items = append(items, "drift")
	}
	if f.Truncate {
		items = append(items, "truncate")
	}
	if f.Reset {
		items = append(items, "reset")
	}
	if f.First != 0 {
		items = append(items, "first="+strconv.Itoa(f.First))
	}
	if f.Nth != 0 {
		items = append(items, "nth="+strconv.Itoa(f.Nth))
	}
	if f.Share != 0 {
		items = append(items, "share="+strconv.FormatFloat(f.Share, 'g', -1, 64))
	}
	if f.Match != "" {
		items = append(items, "match="+f.Match)
	}
	return strings.Join(items, "; ")
}

// decimalSeconds writes d as Samsara writes Retry-After, exact to the nanosecond.
func decimalSeconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
}

// matches reports whether the fault is about a path.
func (f *Fault) matches(path string) bool {
	if prefix, ok := strings.CutSuffix(f.Match, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return f.Match == "" || f.Match == path
}
