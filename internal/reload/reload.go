package reload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// Interval is the time between two looks of a Poller at a file, and the least time between two
	// looks that Again asks for.
	Interval = time.Second
	// patience bounds the wait for a read that does not end, such as one over a network that is gone.
	patience = time.Second
)

// File describes what is read, and what it means.
type File[T any] struct {
	// Name is the name of the file in logs and metrics.
	Name string
	// Paths are read together, and together make one value. A path may be there twice.
	Paths []string
	// MaxBytes is the most that each of them may hold.
	MaxBytes int64
	// Parse returns the value that the contents mean, or what is wrong with them. They are in the
	// order of Paths. Parse must neither change nor keep them, and its errors must not show them.
	Parse func(contents [][]byte) (T, error)
}

// State is the results of the looks at a file.
type State struct {
	Name string
	// Changed, Unchanged and Failed count looks by their result. They leave out the read by New.
	Changed, Unchanged, Failed uint64
	// FailedInARow is how many looks have failed since the last one that did not.
	FailedInARow uint64
	// Good is when the file was last found good, whether or not it had changed.
	Good time.Time
	// Taken is when the content in use was taken up.
	Taken time.Time
	// Err is why the last look failed, nil if it did not.
	Err error
}

// Value is the last good value of a file. It is safe for concurrent use.
type Value[T any] struct {
	file  File[T]
	value atomic.Pointer[T]
	// version counts the changes of value.
	version atomic.Uint64
	// contents are what value was made from. Only New and then run use them.
	contents [][]byte
	// wake makes run look now.
	wake chan struct{}

	mu    sync.Mutex
	state State
	// asked is when Again last asked for a look. answered is closed when that look is done, and is
	// nil from then on.
	asked    time.Time
	answered chan struct{}
	// changed is closed and replaced with each new value.
	changed chan struct{}
}

// New reads a file and returns its value. The value follows the file while a Poller that has it runs.
func New[T any](f File[T]) (*Value[T], error) {
	v := &Value[T]{file: f, wake: make(chan struct{}, 1), changed: make(chan struct{})}
	var err error
	if v.contents, err = v.read(); err != nil {
		return nil, err
	}
	value, err := f.Parse(v.contents)
	if err != nil {
		return nil, err
	}
	v.value.Store(&value)
	now := time.Now()
	v.state = State{Name: f.Name, Good: now, Taken: now}
	return v, nil
}

// Get returns the last good value.
func (v *Value[T]) Get() T { return *v.value.Load() }

// Version returns how often the value has changed. It grows after the value, so that what was made of the value before
// is of an older version.
func (v *Value[T]) Version() uint64 { return v.version.Load() }

// State returns the results of the looks at the file.
func (v *Value[T]) State() State {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.state
}

// Again asks the Poller to look at the file now, and waits until that is done, a second at most and
// not beyond the end of ctx. If it has asked within the last Interval, it does not ask again: it only
// waits for the look that is under way, if there is one.
func (v *Value[T]) Again(ctx context.Context) {
	v.mu.Lock()
	if v.answered == nil && time.Since(v.asked) >= Interval {
		v.asked, v.answered = time.Now(), make(chan struct{})
		v.poke()
	}
	answered := v.answered
	v.mu.Unlock()
	if answered != nil {
		wait(ctx, patience, answered)
	}
}

// Await waits until the value satisfies a condition, and reports whether it did. It returns at once if
// the present value does. It waits no longer than most, and not beyond the end of ctx.
func (v *Value[T]) Await(ctx context.Context, most time.Duration, satisfies func(T) bool) bool {
	for until := time.Now().Add(most); ; {
		v.mu.Lock()
		changed := v.changed
		v.mu.Unlock()
		if satisfies(v.Get()) {
			return true
		}
		if !wait(ctx, time.Until(until), changed) {
			return false
		}
	}
}

// wait reports whether done was closed before a time had passed and before ctx had ended.
func wait(ctx context.Context, most time.Duration, done <-chan struct{}) bool {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// poke makes run look now, or once more if it is looking.
func (v *Value[T]) poke() {
	select {
	case v.wake <- struct{}{}:
	default: // It will look already.
	}
}

// run looks at the file until ctx ends.
func (v *Value[T]) run(ctx context.Context, log *slog.Logger) {
	ticker := time.NewTicker(Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-v.wake:
		}
		v.look(ctx, log)
	}
}

// look reads the file, takes up a change, and counts and logs the result.
func (v *Value[T]) look(ctx context.Context, log *slog.Logger) {
	v.mu.Lock()
	answered := v.answered // An Again from now on wants a look that begins later.
	v.mu.Unlock()

	changed, err := v.reload()

	v.mu.Lock()
	failing := v.state.FailedInARow > 0
	switch v.state.Err = err; {
	case err != nil:
		v.state.Failed++
		v.state.FailedInARow++
	case changed:
		v.state.Changed++
		v.state.Taken = time.Now()
		close(v.changed)
		v.changed = make(chan struct{})
	default:
		v.state.Unchanged++
	}
	if err == nil {
		v.state.FailedInARow, v.state.Good = 0, time.Now()
	}
	if answered != nil {
		close(answered)
		v.answered = nil
	}
	v.mu.Unlock()

	attrs := []slog.Attr{slog.String("file", v.file.Name), slog.Any("paths", v.file.Paths)}
	if err != nil && !failing {
		log.LogAttrs(ctx, slog.LevelError, "file cannot be taken up, the last good one stays in use", append(attrs, slog.Any("error", err))...)
	}
	if err == nil && failing {
		log.LogAttrs(ctx, slog.LevelInfo, "file is good again", attrs...)
	}
	if changed {
		log.LogAttrs(ctx, slog.LevelInfo, "file has changed and was taken up", attrs...)
	}
}

// reload takes up a change of the file, and reports whether there was one.
func (v *Value[T]) reload() (changed bool, err error) {
	contents, err := v.read()
	if err != nil {
		return false, err
	}
	if slices.EqualFunc(contents, v.contents, bytes.Equal) {
		return false, nil
	}
	value, err := v.file.Parse(contents)
	if err != nil {
		return false, err
	}
	v.value.Store(&value)
	v.version.Add(1)
	v.contents = contents
	return true, nil
}

func (v *Value[T]) read() ([][]byte, error) {
	contents := make([][]byte, len(v.file.Paths))
	for i, path := range v.file.Paths {
		var err error
		if contents[i], err = ReadFile(path, v.file.MaxBytes); err != nil {
			return nil, err
		}
	}
	return contents, nil
}

// ReadFile returns the content of a file, which must be regular, not empty, and at most maxBytes long.
// It does not wait for the writer of a pipe. The error names the path.
func ReadFile(path string, maxBytes int64) (content []byte, err error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open %s: must be a regular file, is %s", path, info.Mode().Type())
	}
	content, err = io.ReadAll(io.LimitReader(file, maxBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(content) == 0:
		return nil, fmt.Errorf("read %s: must not be empty", path)
	case int64(len(content)) > maxBytes:
		return nil, fmt.Errorf("read %s: must hold at most %d bytes", path, maxBytes)
	}
	return content, nil
}
