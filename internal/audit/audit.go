package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// patience bounds the wait for a line to be written.
	patience = time.Second
	// maxWaiting bounds the lines that wait.
	maxWaiting = 1000
)

// Stdout is the path that stands for standard output.
const Stdout = "-"

// Config says where lines go.
type Config struct {
	// Path is the file, or Stdout.
	Path string
	// Text writes lines as text, otherwise as JSON.
	Text bool
	// MaxBytes bounds each file, and Files how many there are with that at Path, one at least. They do not apply to
	// Stdout.
	MaxBytes int64
	Files    int
	// Stdout is standard output.
	Stdout io.Writer
}

// Stage is when a record was made.
type Stage string

// The stages of a call.
const (
	// Begun is a write that Samsara is about to be asked for.
	Begun Stage = "begun"
	// Ended is a call that has ended.
	Ended Stage = "ended"
)

// Record is what a line says. Members that are empty are left out.
type Record struct {
	Stage Stage
	// Identity is who called, as policies write it, such as token:billing. Caller is the part of it that it named.
	Identity, Caller string
	Organization     string
	// Method is the gRPC method, HTTPMethod and Path what Samsara was asked for, or would have been.
	Method, HTTPMethod, Path string
	// What follows is known when the call has ended. Code is the gRPC code, Reason that of the error, HTTPStatus Samsara's.
	Code, Reason, HTTPStatus string
	// Processed is whether Samsara has acted on a write: yes, no or unknown.
	Processed string
	// RequestID is Samsara's id of the request.
	RequestID string
	// Rule is the policy's rule that denied the call.
	Rule     string
	Duration time.Duration
}

// ErrSlow means that a line was not written in time. It may come later.
var ErrSlow = errors.New("the audit log takes too long")

// Log is an audit log.
type Log struct {
	cfg   Config
	lines chan line
	done  chan struct{}

	written, failed atomic.Uint64
	// reopen makes the writer open the file anew.
	reopen atomic.Bool

	// mu guards closed, and lines against being closed while one is sent.
	mu     sync.RWMutex
	closed bool
}

type line struct {
	text  []byte
	ended chan<- error
}

// Open returns a log that appends to its file.
func Open(cfg Config) (*Log, error) {
	l := &Log{cfg: cfg, lines: make(chan line, maxWaiting), done: make(chan struct{})}
	w := &writer{cfg: cfg}
	if err := w.open(); err != nil {
		return nil, err
	}
	go l.run(w)
	return l, nil
}

// Write writes a line. The error is the file's, or ErrSlow, or os.ErrClosed after Close.
func (l *Log) Write(r Record) error {
	ended := make(chan error, 1)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	err := l.send(line{l.format(r), ended})
	if err == nil {
		select {
		case err = <-ended:
		case <-timer.C:
			err = ErrSlow
		}
	}
	if err != nil {
		l.failed.Add(1)
		return err
	}
	l.written.Add(1)
	return nil
}

// send hands a line to the writer, and does not wait.
func (l *Log) send(next line) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return os.ErrClosed
	}
	select {
	case l.lines <- next:
		return nil
	default: // Too many wait.
		return ErrSlow
	}
}

// Counts returns how many lines were written, and how many not.
func (l *Log) Counts() (written, failed uint64) { return l.written.Load(), l.failed.Load() }

// Reopen makes the next line go to a file that is opened anew, because somebody has renamed the file.
func (l *Log) Reopen() { l.reopen.Store(true) }

// Close waits until the lines that wait have been written, a second at most.
func (l *Log) Close() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.lines)
	}
	l.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-l.done:
	case <-timer.C:
	}
}

// format returns a line, with its end.
func (l *Log) format(r Record) []byte {
	var b bytes.Buffer
	options := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}
	var h slog.Handler = slog.NewJSONHandler(&b, options)
	if l.cfg.Text {
		h = slog.NewTextHandler(&b, options)
	}
	record := slog.NewRecord(time.Now(), slog.LevelInfo, "audit", 0)
	for _, m := range []struct{ name, value string }{
		{"stage", string(r.Stage)},
		{"identity", r.Identity},
		{"caller", r.Caller},
		{"organization", r.Organization},
		{"method", r.Method},
		{"http_method", r.HTTPMethod},
		{"path", r.Path},
		{"code", r.Code},
		{"reason", r.Reason},
		{"http_status", r.HTTPStatus},
		{"processed", r.Processed},
		{"request_id", r.RequestID},
		{"rule", r.Rule},
	} {
		if m.value != "" {
			record.AddAttrs(slog.String(m.name, m.value))
		}
	}
	if r.Stage == Ended {
		record.AddAttrs(slog.String("duration", r.Duration.String()))
	}
	_ = h.Handle(context.Background(), record) // A buffer takes everything.
	return b.Bytes()
}

// run writes lines until there are no more.
func (l *Log) run(w *writer) {
	defer close(l.done)
	defer w.close()
	for next := range l.lines {
		if l.reopen.Swap(false) {
			w.close()
		}
		next.ended <- w.write(next.text)
	}
}

// writer writes to the file. It belongs to the goroutine of its log.
type writer struct {
	cfg  Config
	file *os.File // nil: it is to be opened, except if Stdout is meant
	size int64
}

func (w *writer) write(text []byte) error {
	if w.cfg.Path == Stdout {
		_, err := w.cfg.Stdout.Write(text)
		return err
	}
	if w.file == nil {
		if err := w.open(); err != nil {
			return err
		}
	}
	if w.size > 0 && w.size+int64(len(text)) > w.cfg.MaxBytes {
		w.close() // If the file cannot be renamed, it stays full, and the next line tries again.
		if err := w.rotate(); err != nil {
			return err
		}
		if err := w.open(); err != nil {
			return err
		}
	}
	n, err := w.file.Write(text)
	if err != nil && n > 0 {
		// Half a line is taken back, so that the next one begins where it should.
		err = errors.Join(err, w.file.Truncate(w.size))
		n = 0
	}
	w.size += int64(n)
	if err != nil {
		w.close()
	}
	return err
}

// open opens the file.
func (w *writer) open() error {
	if w.cfg.Path == Stdout {
		return nil
	}
	file, err := os.OpenFile(w.cfg.Path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("open %s: must be a regular file, is %s", w.cfg.Path, info.Mode())
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	w.file, w.size = file, info.Size()
	return nil
}

// rotate gives each file the next number, and removes the one that is too many.
func (w *writer) rotate() error {
	if w.cfg.Files == 1 {
		return os.Remove(w.cfg.Path)
	}
	for n := w.cfg.Files - 1; n > 1; n-- {
		if err := os.Rename(w.numbered(n-1), w.numbered(n)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return os.Rename(w.cfg.Path, w.numbered(1))
}

func (w *writer) numbered(n int) string { return w.cfg.Path + "." + strconv.Itoa(n) }

func (w *writer) close() {
	if w.file != nil {
		_ = w.file.Close() // What was written is with the kernel.
		w.file = nil
	}
}
