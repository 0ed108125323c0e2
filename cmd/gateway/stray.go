package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/grpclog"
)

// maxStrayBytes bounds the text of a line that a library logs on its own.
const maxStrayBytes = 512

// adoptStrayLines makes lines of log of what libraries log on their own. Otherwise the standard library
// and gRPC would write to standard error in their own formats. It is for the whole process and must be
// called before any use of gRPC. Texts become attributes of constant messages, without what they quote,
// because a peer sent that.
func adoptStrayLines(log *slog.Logger) {
	slog.SetDefault(slog.New(standardLines{log.Handler()})) // package log writes there too
	grpclog.SetLoggerV2(newGRPCLines(log))
}

// standardLines handles the lines of package log. slog makes a record of each, with the whole line as its
// message.
type standardLines struct{ slog.Handler }

// Enabled implements slog.Handler.
func (h standardLines) Enabled(ctx context.Context, _ slog.Level) bool {
	return h.Handler.Enabled(ctx, slog.LevelWarn)
}

// Handle implements slog.Handler.
func (h standardLines) Handle(ctx context.Context, r slog.Record) error {
	line := slog.NewRecord(r.Time, slog.LevelWarn, "the Go library says", 0)
	line.AddAttrs(slog.String("text", strayText(r.Message)))
	return h.Handler.Handle(ctx, line)
}

// grpcLines is gRPC's logger. Its warnings, such as of a malformed header of a client, are logged at
// debug. What is below a warning is dropped.
type grpcLines struct {
	grpclog.LoggerV2
	log *slog.Logger
}

func newGRPCLines(log *slog.Logger) grpclog.LoggerV2 {
	return grpcLines{grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard), log}
}

func (g grpcLines) say(level slog.Level, text string) {
	g.log.Log(context.Background(), level, "the gRPC library says", "text", strayText(text))
}

// Warning implements grpclog.LoggerV2.
func (g grpcLines) Warning(args ...any) { g.say(slog.LevelDebug, fmt.Sprint(args...)) }

// Warningln implements grpclog.LoggerV2.
func (g grpcLines) Warningln(args ...any) { g.say(slog.LevelDebug, fmt.Sprintln(args...)) }

// Warningf implements grpclog.LoggerV2.
func (g grpcLines) Warningf(format string, args ...any) {
	g.say(slog.LevelDebug, fmt.Sprintf(format, args...))
}

// Error implements grpclog.LoggerV2.
func (g grpcLines) Error(args ...any) { g.say(slog.LevelWarn, fmt.Sprint(args...)) }

// Errorln implements grpclog.LoggerV2.
func (g grpcLines) Errorln(args ...any) { g.say(slog.LevelWarn, fmt.Sprintln(args...)) }

// Errorf implements grpclog.LoggerV2.
func (g grpcLines) Errorf(format string, args ...any) {
	g.say(slog.LevelWarn, fmt.Sprintf(format, args...))
}

// Fatal implements grpclog.LoggerV2. The caller ends the process.
func (g grpcLines) Fatal(args ...any) { g.say(slog.LevelError, fmt.Sprint(args...)) }

// Fatalln implements grpclog.LoggerV2. The caller ends the process.
func (g grpcLines) Fatalln(args ...any) { g.say(slog.LevelError, fmt.Sprintln(args...)) }

// Fatalf implements grpclog.LoggerV2. The caller ends the process.
func (g grpcLines) Fatalf(format string, args ...any) {
	g.say(slog.LevelError, fmt.Sprintf(format, args...))
}

// quoted matches a text as %q prints it, or the beginning of one.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*("|$)`)

// strayText returns a library's text in a form fit for the log: one line, bounded, without what it quotes.
func strayText(text string) string {
	text = quoted.ReplaceAllLiteralString(strings.TrimSpace(text), `"…"`)
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= maxStrayBytes {
		return text
	}
	end := maxStrayBytes
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
