package service

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"samsara.internal/gateway/internal/tracing"
	"samsara.internal/gateway/upstream"
)

// logLine is the line of a call that is running: what Finished says of it, its peer and the message of an error, but no
// payload. It belongs to the call's goroutine.
type logLine struct {
	edge   *edge
	method string
	start  time.Time
	// deadline is when the call must have ended; zero: it came without a deadline.
	deadline time.Time
	// id is the call's own, and traceID that of the trace that it belongs to, if any.
	id, traceID string
	// attempts, httpStatus and upstreamID are of the last request of Samsara, and spent is where it took its time.
	attempts, httpStatus int
	upstreamID           string
	spent                upstream.Spent
	source               upstream.AnswerSource
	responseBytes        int64
	// access is who calls, and what was decided about the call. caller is its name, with the part of it that it
	// names; empty: nobody has asked.
	access access
	caller string
	// httpMethod and path are what Samsara was asked for, empty if it was not.
	httpMethod, path string
	// organization is what the call is for, which it uses until release; nil: none.
	organization *Organization
	// stream is the entry of a stream among the open ones.
	stream *openStream
	// pages and items count what a stream of pages has sent, and firstPage is when it began to.
	pages, items int64
	firstPage    time.Time
	// reads is whether the call is a read of a method that may write.
	reads bool
	// refused is whether the call is beyond the limit or of no method: callers can make such calls without
	// end and at no cost. Their lines have a message of their own, because the logger may bound the lines of
	// each message.
	refused bool
	// span is that of the call.
	span tracing.Span
}

type logLineKey struct{}

// newLogLine begins the line of a call.
func (e *edge) newLogLine(ctx context.Context, fullMethod string) *logLine {
	l := &logLine{edge: e, method: fullMethod, start: time.Now(), source: upstream.SourceUpstream}
	l.deadline, _ = ctx.Deadline()
	if isGRPCs(fullMethod) {
		return l
	}
	l.traceID = traceID(ctx)
	if given := metadata.ValueFromIncomingContext(ctx, callIDKey); len(given) == 1 && isCallID(given[0]) {
		l.id = given[0]
	} else {
		l.id = newCallID()
	}
	return l
}

// lineOf returns the line of the call that ctx belongs to.
func lineOf(ctx context.Context) *logLine {
	if line, ok := ctx.Value(logLineKey{}).(*logLine); ok {
		return line
	}
	return new(logLine) // of no call: a test's
}

// answered adds a response that Samsara gave.
func (l *logLine) answered(resp *upstream.Response) {
	l.attempts, l.upstreamID, l.httpStatus = resp.Attempts, resp.RequestID, resp.Status
	l.responseBytes = int64(len(resp.Message) + len(resp.Body))
	switch {
	case resp.Cached:
		l.source = upstream.SourceCache
	case resp.Shared:
		l.source = upstream.SourceShared
	}
}

// failed adds an error of asking Samsara.
func (l *logLine) failed(err *upstream.Error) {
	l.attempts, l.upstreamID, l.httpStatus = err.Attempts, err.RequestID, err.HTTPStatus
}

// isGRPCs reports whether a method is of grpc's own services, such as health and reflection.
func isGRPCs(fullMethod string) bool { return strings.HasPrefix(fullMethod, "/grpc.") }

// sentPage adds a page of a stream.
func (l *logLine) sentPage(items, bytes int64) {
	if l.pages == 0 {
		l.firstPage = time.Now()
	}
	l.pages++
	l.items += items
	l.responseBytes += bytes
}

// level returns the level at which a call is logged. Probes and tools are logged at debug, because metrics count them.
func level(fullMethod string, code codes.Code) slog.Level {
	switch {
	case isGRPCs(fullMethod):
		return slog.LevelDebug
	case code == codes.Unauthenticated: // A token of Samsara's that is not taken is everybody's trouble.
		return slog.LevelWarn
	default:
		return slog.Level(logging.DefaultServerCodeToLevel(code))
	}
}

// name returns the name of the caller, empty if it is not known.
func (l *logLine) name() string {
	if l.caller == "" && l.access.caller != nil {
		return l.access.caller.who.Principal.Name
	}
	return l.caller
}

// finish logs the call, whose context is ctx and which ended with err, and tells of it. A success is logged at info if it
// is slow or its turn has come, and always at debug.
func (l *logLine) finish(ctx context.Context, err error) {
	f := l.finished(err)
	l.endSpan(&f)
	if l.edge.finished != nil {
		l.edge.finished(ctx, &f)
	}
	log, level, message := l.edge.logger, level(f.Method, f.Code), "call finished"
	leftOut := 0
	switch isSlow := l.edge.isSlow(&f); {
	case f.Refused:
		message = "call refused"
	case isSlow && level < slog.LevelWarn:
		level, message = slog.LevelWarn, "call was slow"
	case f.Code == codes.OK && log.Enabled(ctx, slog.LevelDebug):
		level = slog.LevelDebug
	case f.Code == codes.OK && level == slog.LevelInfo:
		may := false
		if log = l.edge.access.Logger; log != nil && log.Enabled(ctx, level) {
			leftOut, may = l.edge.access.Turn(ctx)
		}
		if !may {
			return
		}
	}
	if !log.Enabled(ctx, level) {
		return
	}
	attrs := l.attrs(ctx, &f, err)
	if leftOut > 0 {
		attrs = append(attrs, slog.Int("suppressed", leftOut))
	}
	log.LogAttrs(ctx, level, message, attrs...) //nolint:sloglint // message is one of three constants
}

// isSlow reports whether a call took longer than a good one does. A stream is slow if its first message came late.
func (e *edge) isSlow(f *Finished) bool {
	if e.slowCall == 0 || isGRPCs(f.Method) {
		return false
	}
	if f.Stream {
		return f.FirstPage > e.slowCall
	}
	return f.Duration > e.slowCall
}

// attrs returns what the line of a call says. What is not known is left out.
func (l *logLine) attrs(ctx context.Context, f *Finished, err error) []slog.Attr {
	attrs := append(make([]slog.Attr, 0, 24),
		slog.String("method", f.Method),
		slog.String("code", f.Code.String()),
		slog.Duration("duration", f.Duration),
	)
	text := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, value))
		}
	}
	number := func(name string, value int64) {
		if value != 0 {
			attrs = append(attrs, slog.Int64(name, value))
		}
	}
	span := func(name string, value time.Duration) {
		if value != 0 {
			attrs = append(attrs, slog.Duration(name, value))
		}
	}
	if from, ok := peer.FromContext(ctx); ok {
		text("peer", from.Addr.String())
	}
	text("caller", l.name())
	if o := l.organization; o != nil && o.told {
		text("organization", o.name)
	}
	text("x_request_id", f.ID)
	text("trace_id", f.TraceID)
	number("http_status", int64(f.HTTPStatus))
	number("attempts", int64(f.Attempts))
	text("request_id", f.UpstreamID)
	number("pages", f.Pages)
	number("items", f.Items)
	number("response_bytes", f.ResponseBytes)
	span("deadline", f.Deadline.Round(time.Millisecond))
	span("quota_wait", f.Spent.Quota)
	span("upstream", f.Spent.Upstream)
	span("translation", f.Spent.Translation)
	span("first_page", f.FirstPage)
	switch f.Source {
	case upstream.SourceCache:
		text("source", "cache")
	case upstream.SourceShared:
		text("source", "shared")
	case upstream.SourceUpstream:
	}
	text("reason", f.Reason)
	if err != nil {
		text("error", status.Convert(err).Message())
	}
	return attrs
}

// callIDKey has what a caller names a call by, in the metadata of the call. Every call has such a name, of its own if
// its caller gives none. It is in the log, in the trailer of a failure, and in what Samsara is asked.
const callIDKey = "x-request-id"

// maxCallIDBytes bounds such a name.
const maxCallIDBytes = 128

// isCallID reports whether a caller may name a call so: with printable ASCII, so that it fits into a header and a line.
func isCallID(id string) bool {
	return id != "" && len(id) <= maxCallIDBytes && strings.IndexFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// newCallID returns a name for a call, of 128 random bits.
func newCallID() string {
	var random [16]byte
	binary.LittleEndian.PutUint64(random[:8], rand.Uint64()) //nolint:gosec // it tells calls apart and keeps nothing secret
	binary.LittleEndian.PutUint64(random[8:], rand.Uint64()) //nolint:gosec // as above
	var text [32]byte
	hex.Encode(text[:], random[:])
	return string(text[:])
}

// traceID returns the trace that a call belongs to by W3C's traceparent, empty if there is none.
func traceID(ctx context.Context) string {
	given := metadata.ValueFromIncomingContext(ctx, parentKey)
	if len(given) != 1 || len(given[0]) < len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01") || given[0][2] != '-' || given[0][35] != '-' {
		return ""
	}
	id := given[0][3:35]
	if strings.Trim(id, "0123456789abcdef") != "" || strings.Trim(id, "0") == "" {
		return ""
	}
	return id
}
