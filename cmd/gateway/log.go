package main

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/service"
)

const (
	// maxLinesPerSecond bounds the lines of one kind, also in a burst.
	maxLinesPerSecond = 10
	// leftOutAfter is how soon a line says, at the latest, that lines were left out.
	leftOutAfter = time.Second
	// maxLineKinds bounds the memory for the counts. There are some dozens of kinds.
	maxLineKinds = 200
)

// newLogger returns a logger that limits repeated lines. flush is for the end of the program: it logs how
// many lines were left out and have not been counted in a line yet.
func newLogger(level slog.Leveler, format config.LogFormat, w io.Writer) (log *slog.Logger, flush func(context.Context)) {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: durationAsText}
	var out slog.Handler = slog.NewTextHandler(w, options)
	if format == config.LogJSON {
		out = slog.NewJSONHandler(w, options)
	}
	limit := newLineLimit(out, maxLinesPerSecond)
	return slog.New(limitedHandler{out, limit}), limit.flush
}

// newAccessLog returns the log of calls that succeed, of which at most perSecond have a line. It writes where log does, which
// must be of newLogger. flush is for the end of the program.
func newAccessLog(log *slog.Logger, perSecond int) (access service.AccessLog, flush func(context.Context)) {
	limited, ok := log.Handler().(limitedHandler)
	if !ok || perSecond == 0 {
		return service.AccessLog{}, func(context.Context) {}
	}
	limit := newLineLimit(limited.Handler, perSecond)
	return service.AccessLog{Logger: slog.New(limited.Handler), Turn: func(ctx context.Context) (int, bool) {
		return limit.take(ctx, lineKind{slog.LevelInfo, "call finished"})
	}}, limit.flush
}

// durationAsText makes a text with a unit of a duration, which slog would write in JSON in nanoseconds.
func durationAsText(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// limitedHandler passes on at most maxLinesPerSecond lines of the same message and level. The attribute
// suppressed of the next one says how many were left out before it. If there is no next one, a line of its
// own says so. Lines at debug are not limited: whoever asks for them wants all.
//
// Messages must be constant texts: each other text would be a kind of its own.
type limitedHandler struct {
	slog.Handler
	limit *lineLimit
}

// Handle implements slog.Handler.
func (h limitedHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level > slog.LevelDebug {
		leftOut, ok := h.limit.take(ctx, lineKind{r.Level, r.Message})
		if !ok {
			return nil
		}
		if leftOut > 0 {
			r = r.Clone()
			r.AddAttrs(slog.Int("suppressed", leftOut))
		}
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h limitedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return limitedHandler{h.Handler.WithAttrs(attrs), h.limit}
}

// WithGroup implements slog.Handler.
func (h limitedHandler) WithGroup(name string) slog.Handler {
	return limitedHandler{h.Handler.WithGroup(name), h.limit}
}

// lineLimit counts lines. It is safe for concurrent use.
type lineLimit struct {
	out slog.Handler
	// perSecond bounds the lines of each kind, also in a burst.
	perSecond int

	mu    sync.Mutex
	kinds map[lineKind]*lineCount
}

func newLineLimit(out slog.Handler, perSecond int) *lineLimit {
	return &lineLimit{out: out, perSecond: perSecond, kinds: make(map[lineKind]*lineCount)}
}

// lineKind is what lines that are limited together have in common.
type lineKind struct {
	level   slog.Level
	message string
}

type lineCount struct {
	rate    *rate.Limiter
	leftOut int
	// tell runs leftOutAfter after the first of them was left out.
	tell *time.Timer
}

// take reports whether a line may be written, and how many were left out before it.
func (l *lineLimit) take(ctx context.Context, kind lineKind) (leftOut int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	count := l.kinds[kind]
	if count == nil && len(l.kinds) >= maxLineKinds {
		kind = lineKind{slog.LevelWarn, "other messages"}
		count = l.kinds[kind]
	}
	if count == nil {
		count = &lineCount{rate: rate.NewLimiter(rate.Limit(l.perSecond), l.perSecond)}
		l.kinds[kind] = count
	}
	if !count.rate.Allow() {
		if count.leftOut++; count.leftOut == 1 {
			count.tell = time.AfterFunc(leftOutAfter, func() { l.tell(context.WithoutCancel(ctx), kind, count) })
		}
		return 0, false
	}
	leftOut, count.leftOut = count.leftOut, 0
	if leftOut > 0 {
		count.tell.Stop()
	}
	return leftOut, true
}

// tell logs how many lines were left out, if no line has said so yet.
func (l *lineLimit) tell(ctx context.Context, kind lineKind, count *lineCount) {
	l.mu.Lock()
	leftOut := count.leftOut
	count.leftOut = 0
	l.mu.Unlock()
	if leftOut == 0 {
		return
	}
	r := slog.NewRecord(time.Now(), kind.level, "repeated lines left out", 0)
	r.AddAttrs(slog.String("message", kind.message), slog.Int("suppressed", leftOut))
	_ = l.out.Handle(ctx, r) // There is no place left to report a failure.
}

// flush logs how many lines of each kind were left out, if no line has said so yet.
func (l *lineLimit) flush(ctx context.Context) {
	l.mu.Lock()
	kinds := make(map[lineKind]*lineCount, len(l.kinds))
	for kind, count := range l.kinds {
		kinds[kind] = count
	}
	l.mu.Unlock()
	for kind, count := range kinds {
		l.tell(ctx, kind, count)
	}
}
