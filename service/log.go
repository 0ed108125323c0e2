package service

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// logLine is the line of a call that is running: its method, code, duration, peer, attempts,
// Samsara's request id and the message of an error, but no payload. It belongs to the call's
// goroutine.
type logLine struct {
	logger    *slog.Logger
	told      func(ctx context.Context, f *Finished)
	method    string
	start     time.Time
	attempts  int
	requestID string
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
	// pages and items count what a stream of pages has sent.
	pages, items int64
	// reads is whether the call is a read of a method that may write.
	reads bool
	// refused is whether the call is beyond the limit or of no method: callers can make such calls without
	// end and at no cost. Their lines have a message of their own, because the logger may bound the lines of
	// each message.
	refused bool
}

type logLineKey struct{}

func newLogLine(logger *slog.Logger, told func(context.Context, *Finished), fullMethod string) *logLine {
	return &logLine{logger: logger, told: told, method: fullMethod, start: time.Now()}
}

// lineOf returns the line of the call that ctx belongs to.
func lineOf(ctx context.Context) *logLine {
	if line, ok := ctx.Value(logLineKey{}).(*logLine); ok {
		return line
	}
	return new(logLine) // of no call: a test's
}

// logAttempts adds to the line of the call that ctx belongs to.
func logAttempts(ctx context.Context, attempts int, requestID string) {
	if line, ok := ctx.Value(logLineKey{}).(*logLine); ok {
		line.attempts, line.requestID = attempts, requestID
	}
}

// logRead says that the call that ctx belongs to is a read.
func logRead(ctx context.Context) {
	if line, ok := ctx.Value(logLineKey{}).(*logLine); ok {
		line.reads = true
	}
}

// isGRPCs reports whether a method is of grpc's own services, such as health and reflection.
func isGRPCs(fullMethod string) bool { return strings.HasPrefix(fullMethod, "/grpc.") }

// addPage adds a page of a stream.
func (l *logLine) addPage(items int64) {
	l.pages++
	l.items += items
}

// level returns the level at which a call is logged. Success is logged at debug, because metrics count it,
// and a line for a call costs a tenth of the call's CPU. Probes and tools are logged at debug too.
func level(fullMethod string, code codes.Code) slog.Level {
	if code == codes.OK || isGRPCs(fullMethod) {
		return slog.LevelDebug
	}
	return slog.Level(logging.DefaultServerCodeToLevel(code))
}

// name returns the name of the caller, empty if it is not known.
func (l *logLine) name() string {
	if l.caller == "" && l.access.caller != nil {
		return l.access.caller.who.Principal.Name
	}
	return l.caller
}

// finish logs the call, whose context is ctx and which ended with err.
func (l *logLine) finish(ctx context.Context, err error) {
	code := status.Code(err)
	duration := time.Since(l.start)
	l.finished(ctx, code, duration)
	level := level(l.method, code)
	if !l.logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", l.method),
		slog.String("code", code.String()),
		slog.Duration("duration", duration),
	}
	if from, ok := peer.FromContext(ctx); ok {
		attrs = append(attrs, slog.String("peer", from.Addr.String()))
	}
	if caller := l.name(); caller != "" {
		attrs = append(attrs, slog.String("caller", caller))
	}
	if o := l.organization; o != nil && o.told {
		attrs = append(attrs, slog.String("organization", o.name))
	}
	if l.attempts > 0 {
		attrs = append(attrs, slog.Int("attempts", l.attempts))
	}
	if l.requestID != "" {
		attrs = append(attrs, slog.String("request_id", l.requestID))
	}
	if l.pages > 0 {
		attrs = append(attrs, slog.Int64("pages", l.pages), slog.Int64("items", l.items))
	}
	if reason := reasonOf(err); reason != "" {
		attrs = append(attrs, slog.String("reason", reason))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", status.Convert(err).Message()))
	}
	if l.refused {
		l.logger.LogAttrs(ctx, level, "call refused", attrs...)
		return
	}
	l.logger.LogAttrs(ctx, level, "call finished", attrs...)
}
