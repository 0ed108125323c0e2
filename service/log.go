package service

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// callLog logs one line a call, at a level that goes by its code, with method, code, duration,
// peer, attempts, Samsara's request id and the message of an error, but no payload. It takes
// the interceptor and the levels from go-grpc-middleware, but not its lines: these cost 50
// allocations a call even where nobody reads them.
type callLog struct{ logger *slog.Logger }

// ServerReporter implements interceptors.ServerReportable.
func (l callLog) ServerReporter(ctx context.Context, call interceptors.CallMeta) (interceptors.Reporter, context.Context) {
	line := &logLine{logger: l.logger, ctx: ctx, call: call}
	return line, context.WithValue(ctx, logLineKey{}, line)
}

// logLine is the line of a call that is running. It belongs to the call's goroutine.
type logLine struct {
	interceptors.NoopReporter
	logger    *slog.Logger
	ctx       context.Context //nolint:containedctx // a Reporter is told of the end without it
	call      interceptors.CallMeta
	attempts  int
	requestID string
}

type logLineKey struct{}

// logAttempts adds to the line of the call that ctx belongs to.
func logAttempts(ctx context.Context, attempts int, requestID string) {
	if line, ok := ctx.Value(logLineKey{}).(*logLine); ok {
		line.attempts, line.requestID = attempts, requestID
	}
}

// PostCall implements interceptors.Reporter.
func (l *logLine) PostCall(err error, duration time.Duration) {
	code := status.Code(err)
	level := slog.Level(logging.DefaultServerCodeToLevel(code))
	if strings.HasPrefix(l.call.Service, "grpc.") {
		level = slog.LevelDebug // probes and tools, which nobody wants in the log
	}
	if !l.logger.Enabled(l.ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", l.call.FullMethod()),
		slog.String("code", code.String()),
		slog.Duration("duration", duration),
	}
	if from, ok := peer.FromContext(l.ctx); ok {
		attrs = append(attrs, slog.String("peer", from.Addr.String()))
	}
	if l.attempts > 0 {
		attrs = append(attrs, slog.Int("attempts", l.attempts))
	}
	if l.requestID != "" {
		attrs = append(attrs, slog.String("request_id", l.requestID))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", status.Convert(err).Message()))
	}
	l.logger.LogAttrs(l.ctx, level, "call finished", attrs...)
}
