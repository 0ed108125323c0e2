package explain

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/quota"
)

// textColumns is how wide the texts are, except for the texts of the request.
const textColumns = 100

// WriteText writes a plan for people.
func (p *Plan) WriteText(w io.Writer) error {
	t := &text{}
	about := []string{"operationId " + p.OperationID, p.Stage}
	if p.Deprecated {
		about = append(about, "deprecated")
	}
	if p.Scope != "" {
		about = append(about, "scope "+strconv.Quote(p.Scope))
	}
	t.b.WriteString(p.Method + "\n" + strings.Join(about, ", ") + "\n")
	t.request(p)
	t.corrections(p.Corrections)
	t.quota(p.Quota)
	t.times(p.Times)
	t.retries(p)
	t.reads(p)
	t.pages(p)
	t.reasons(p.Reasons)
	_, err := io.WriteString(w, t.b.String())
	return err
}

// text is a plan as it is written down.
type text struct{ b strings.Builder }

func (t *text) section(name string) { t.b.WriteString("\n" + name + "\n") }

// say writes a paragraph.
func (t *text) say(format string, args ...any) { t.wrap("  ", fmt.Sprintf(format, args...)) }

// wrap writes a text in lines of textColumns at most. The first follows head, and the others are indented as
// far.
func (t *text) wrap(head, of string) {
	line := head
	for i, word := range strings.Fields(of) {
		switch {
		case i == 0:
			line += word
		case len(line)+1+len(word) > textColumns:
			t.b.WriteString(line + "\n")
			line = strings.Repeat(" ", len(head)) + word
		default:
			line += " " + word
		}
	}
	t.b.WriteString(line + "\n")
}

// table writes rows of cells.
func (t *text) table(rows ...[]string) {
	table := tabwriter.NewWriter(&t.b, 0, 0, 2, ' ', 0)
	for _, cells := range rows {
		_, _ = io.WriteString(table, "  "+strings.Join(cells, "\t")+"\n")
	}
	_ = table.Flush() // A strings.Builder does not fail.
}

func (t *text) request(p *Plan) {
	t.section("Request")
	if p.Request == nil {
		t.b.WriteString("  " + p.HTTPMethod + " " + p.Path + "\n")
		t.say("Its URL, headers and body are missing: the request is not valid, see the error.")
		return
	}
	t.b.WriteString("  " + p.Request.Method + " " + p.Request.URL + "\n")
	for _, h := range p.Request.Headers {
		t.b.WriteString("  " + h.Name + ": " + h.Value + "\n")
	}
	if p.Request.Body != "" {
		t.b.WriteString("\n  " + p.Request.Body + "\n")
	}
	w := p.Walk
	if w == nil {
		return
	}
	t.section("Next page")
	t.b.WriteString("  " + p.Request.Method + " " + w.NextURL + "\n")
	switch {
	case w.Numbered:
		t.say("and so on, until a page has no records or is not found.")
	case w.Follow:
		t.say("with the endCursor of the page before instead of CURSOR: at once if hasNextPage is true, otherwise after %s and up to a tenth more, without end.", seconds(w.PollSeconds))
	default:
		t.say("with the endCursor of the page before instead of CURSOR, until hasNextPage is false. The next page is asked for while the page before is being sent.")
	}
	if w.Follow {
		t.say("After %s without a page a message says how the feed is doing. Streams with the same request share one reader.", seconds(w.KeepAliveSeconds))
	}
	if w.MaxPages > 0 {
		t.say("It ends after %d pages.", w.MaxPages)
	}
	if w.MaxItems > 0 {
		t.say("It ends after %d records.", w.MaxItems)
	}
	t.say("To go on, give a message's cursor, or the trailer samsara-cursor of a stream that failed, as %s.", w.CursorField)
}

func (t *text) corrections(all []Correction) {
	if len(all) == 0 {
		return
	}
	t.section("Corrections of Samsara's API document, by proto/corrections.yaml")
	width := len(strconv.Itoa(all[len(all)-1].Action))
	for _, c := range all {
		t.wrap(fmt.Sprintf("  action %*d  ", width, c.Action), c.Target+": "+c.Description)
	}
}

func (t *text) quota(q *Quota) {
	t.section("Quota")
	if q == nil {
		t.say("None is kept: --quota is off.")
		return
	}
	rows := [][]string{{"BUDGET", "LIMIT", "EFFECTIVE", "FROM"}}
	for _, b := range q.Budgets {
		name, effective := b.Name, "-"
		if strings.HasPrefix(name, quota.OperationPrefix) {
			name = "operation"
		}
		if b.Limit != "none" {
			effective = strconv.FormatFloat(math.Round(b.Effective*10)/10, 'f', -1, 64)
		}
		rows = append(rows, []string{name, b.Limit, effective, b.From})
	}
	t.table(rows...)
	t.say("Each attempt takes from all of them, and waits at most %s for its turn: %s.", seconds(q.MaxWaitSeconds), q.MaxWaitFrom)
	if q.Shared {
		t.say("Replicas share them: --quota-redis.")
	}
	priority := "interactive, and goes before batch, unless samsara-priority is batch"
	if q.Batch {
		priority = "batch, and lets interactive calls go first, unless samsara-priority is interactive"
	}
	t.say("The call is %s. While batch calls wait, they get at least %d %%.", priority, q.BatchPercent)
}

func (t *text) times(times []Time) {
	t.section("Time")
	var rows [][]string
	for _, each := range times {
		rows = append(rows, []string{seconds(each.Seconds), each.For, each.From})
	}
	t.table(rows...)
}

func (t *text) retries(p *Plan) {
	r := p.Retries
	t.section("Retries")
	t.table(
		[]string{strconv.Itoa(r.MaxAttempts), "attempts at most, the first included", r.MaxAttemptsFrom},
		[]string{seconds(r.BaseDelaySeconds), "the first wait at most, at random; doubles with each", r.BaseDelayFrom},
		[]string{seconds(r.MaxDelaySeconds), "any such wait at most; a Retry-After counts instead", r.MaxDelayFrom},
	)
	switch {
	case r.MaxAttempts == 1:
		t.say("Nothing is repeated, except after 401 if the token has changed in its file.")
	case r.Repeatable:
		t.say("Repeated after %s, and if no connection is made, a connection breaks, or no answer comes in time: sending it twice does no more than sending it once.", strings.Join(r.Statuses, ", "))
	default:
		t.say("Repeated after %s and if no connection is made: then it was not processed. Otherwise it is not repeated, because a %s may do something twice. With samsara-retry: always it is repeated after %s, and if a connection breaks or no answer comes in time.",
			strings.Join(r.Statuses, ", "), p.HTTPMethod, strings.Join(r.StatusesAlways, ", "))
	}
	if r.MaxAttempts > 1 {
		t.say("After 401 it is repeated once, if the token has changed in its file.")
	}
	t.say("Within 10 s a caller has at most %d repeats of this operation, and one more for every ten calls. The caller's circuit opens for %s if, of at least %d attempts, %v %% fail.",
		r.Budget, seconds(r.CircuitOpenSeconds), r.CircuitAttempts, math.Round(r.CircuitPercent))
}

func (t *text) reads(p *Plan) {
	t.section("Reads")
	r := p.Reads
	switch {
	case !r.Shared:
		t.say("It is neither shared nor cached.")
		return
	case r.CacheSeconds > 0:
		t.say("It may be answered by a response of the last %s: %s.", seconds(r.CacheSeconds), r.CacheFrom)
	case r.CacheFrom == "":
		t.say("Pages of a stream are not cached.")
	default:
		t.say("It is not cached: %s.", r.CacheFrom)
	}
	t.say("Calls that ask the same at the same time share one request, unless samsara-cache is no-store.")
}

func (t *text) pages(p *Plan) {
	if p.Page == nil {
		return
	}
	t.section("Pages")
	switch page := p.Page; {
	case page.SizeField == "":
		t.say("Their size is Samsara's choice.")
	case page.Max > 0:
		t.say("The request's %s is their size, %v at most%s.", page.SizeField, page.Max, orDefault(page.Default))
	default:
		t.say("The request's %s is their size%s.", page.SizeField, orDefault(page.Default))
	}
	for _, s := range p.Streams {
		what := "reads all pages"
		if s.Follow {
			what = "follows the feed for ever, and asks again after " + seconds(s.PollSeconds) + " or options.poll_interval"
		}
		t.say("%s %s, and begins at %s.", s.Method[strings.LastIndexByte(s.Method, '/')+1:], what, s.CursorField)
	}
}

func orDefault(value string) string {
	if value == "" {
		return ""
	}
	return ", " + value + " if it is not set"
}

func (t *text) reasons(all []Reason) {
	t.section("Ends with OK, or with one of these reasons, by code; * is repeated before that")
	t.codes(slices.DeleteFunc(slices.Clone(all), func(r Reason) bool { return r.Outlasted }))
	outlasted := slices.DeleteFunc(slices.Clone(all), func(r Reason) bool { return !r.Outlasted })
	if len(outlasted) > 0 {
		t.section("Goes on after these reasons, which keep-alives report")
		t.codes(outlasted)
	}
}

// codes writes reasons by code.
func (t *text) codes(all []Reason) {
	byCode := make(map[string][]string)
	var order []string
	width := 0
	for _, r := range all {
		name := r.Reason
		if r.Repeated {
			name += "*"
		}
		if byCode[r.Code] == nil {
			order = append(order, r.Code)
		}
		byCode[r.Code] = append(byCode[r.Code], name)
		width = max(width, len(r.Code))
	}
	slices.Sort(order)
	for _, code := range order {
		t.wrap(fmt.Sprintf("  %-*s  ", width, code), strings.Join(byCode[code], " "))
	}
}

func seconds(s float64) string {
	return config.FormatDuration(time.Duration(math.Round(s * float64(time.Second))))
}
