package reload_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"samsara.internal/gateway/internal/reload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// joined is a file whose value is its contents, joined; some are bad.
func joined(paths ...string) reload.File[string] {
	return reload.File[string]{
		Name: "joined", Paths: paths, MaxBytes: 16,
		Parse: func(contents [][]byte) (string, error) {
			text := string(bytes.Join(contents, []byte("+")))
			if strings.Contains(text, "bad") {
				return "", errors.New("it is bad")
			}
			return text, nil
		},
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// lines collects what is logged, without what changes.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "paths" || a.Key == "error" {
			return slog.Attr{}
		}
		return a
	}}))
}

func (l *lines) read() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSpace(l.text.String()), "\n")
}

// poll makes values follow their files until the test ends.
func poll(t *testing.T, values ...reload.Watched) (*reload.Poller, *lines) {
	t.Helper()
	var out lines
	p := reload.NewPoller(out.logger(), values...)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	synctest.Wait()
	return p, &out
}

func TestNew_bad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("good"), "good")
	write(t, at("empty"), "")
	write(t, at("large"), strings.Repeat("x", 17))
	write(t, at("bad"), "bad")
	if err := errors.Join(os.Mkdir(at("folder"), 0o700), syscall.Mkfifo(at("pipe"), 0o600), os.Symlink("nowhere", at("link"))); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"missing": "open " + at("missing") + ": no such file or directory",
		"empty":   "read " + at("empty") + ": must not be empty",
		"large":   "read " + at("large") + ": must hold at most 16 bytes",
		"bad":     "it is bad",
		"folder":  "open " + at("folder") + ": must be a regular file, is d---------",
		"pipe":    "open " + at("pipe") + ": must be a regular file, is p---------",
		"link":    "open " + at("link") + ": no such file or directory",
	} {
		for _, paths := range [][]string{{at(name), at("good")}, {at("good"), at(name)}} {
			if _, err := reload.New(joined(paths...)); err == nil || err.Error() != want {
				t.Errorf("New with %s: %v, want %s", name, err, want)
			}
		}
	}
}

func TestValue_followsItsFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
		write(t, one, "1")
		write(t, two, "2")
		v, err := reload.New(joined(one, two))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		p, out := poll(t, v)
		step := func(name, value string, state reload.State) {
			t.Helper()
			<-time.After(reload.Interval)
			synctest.Wait()
			if got := v.Get(); got != value {
				t.Errorf("%s: got %q, want %q", name, got, value)
			}
			state.Name = "joined"
			got := p.States()[0]
			if (got.Err != nil) != (state.FailedInARow > 0) {
				t.Errorf("%s: got error %v after %d failures", name, got.Err, state.FailedInARow)
			}
			got.Err = nil
			if diff := cmp.Diff(state, got); diff != "" {
				t.Errorf("%s: state (-want +got):\n%s", name, diff)
			}
		}
		after := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
		step("as it was", "1+2", reload.State{Unchanged: 1, Good: after(1), Taken: after(0)})
		write(t, two, "3")
		step("the second has changed", "1+3", reload.State{Changed: 1, Unchanged: 1, Good: after(2), Taken: after(2)})
		write(t, two, "bad")
		step("it is bad", "1+3", reload.State{Changed: 1, Unchanged: 1, Failed: 1, FailedInARow: 1, Good: after(2), Taken: after(2)})
		write(t, two, "")
		step("it is empty", "1+3", reload.State{Changed: 1, Unchanged: 1, Failed: 2, FailedInARow: 2, Good: after(2), Taken: after(2)})
		if err := os.Remove(one); err != nil {
			t.Fatal(err)
		}
		step("the first is missing", "1+3", reload.State{Changed: 1, Unchanged: 1, Failed: 3, FailedInARow: 3, Good: after(2), Taken: after(2)})
		write(t, one, "1")
		write(t, two, "3")
		step("as it was when it was good", "1+3", reload.State{Changed: 1, Unchanged: 2, Failed: 3, Good: after(6), Taken: after(2)})
		write(t, one, "0")
		step("changed once more", "0+3", reload.State{Changed: 2, Unchanged: 2, Failed: 3, Good: after(7), Taken: after(7)})
		want := []string{
			`level=INFO msg="file has changed and was taken up" file=joined`,
			`level=ERROR msg="file cannot be taken up, the last good one stays in use" file=joined`,
			`level=INFO msg="file is good again" file=joined`,
			`level=INFO msg="file has changed and was taken up" file=joined`,
		}
		if diff := cmp.Diff(want, out.read()); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

// TestValue_kubernetesSwap replaces a folder as the kubelet does for secrets and config maps.
func TestValue_kubernetesSwap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		version := func(n int) {
			folder := fmt.Sprintf("..%d", n)
			if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, folder, "token"), fmt.Sprint(n))
			fresh := filepath.Join(dir, "..data_tmp")
			if err := errors.Join(os.Symlink(folder, fresh), os.Rename(fresh, filepath.Join(dir, "..data"))); err != nil {
				t.Fatal(err)
			}
		}
		version(1)
		path := filepath.Join(dir, "token")
		if err := os.Symlink("..data/token", path); err != nil {
			t.Fatal(err)
		}
		v, err := reload.New(joined(path))
		if err != nil {
			t.Fatal(err)
		}
		poll(t, v)
		version(2)
		if err := os.RemoveAll(filepath.Join(dir, "..1")); err != nil {
			t.Fatal(err)
		}
		<-time.After(reload.Interval)
		synctest.Wait()
		if got := v.Get(); got != "2" {
			t.Errorf("got %q, want 2", got)
		}
	})
}

// follow returns the value of a new file and a function that changes the file.
func follow(t *testing.T, content string) (*reload.Value[string], *reload.Poller, func(content string)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, content)
	v, err := reload.New(joined(path))
	if err != nil {
		t.Fatal(err)
	}
	p, _ := poll(t, v)
	return v, p, func(content string) { write(t, path, content) }
}

func TestPoller_poked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v, p, change := follow(t, "1")
		change("2")
		p.Poke()
		synctest.Wait()
		if got := v.Get(); got != "2" {
			t.Errorf("got %q at once, want 2", got)
		}
	})
}

func TestAgain_onceAnIntervalForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v, _, change := follow(t, "1")
		change("2")
		var asking sync.WaitGroup
		for range 100 {
			asking.Go(func() {
				if v.Again(t.Context()); v.Get() != "2" {
					t.Errorf("got %q, want 2", v.Get())
				}
			})
		}
		asking.Wait()
		for range 100 {
			v.Again(t.Context())
		}
		if s := v.State(); s.Changed+s.Unchanged != 1 {
			t.Errorf("%d looks, want 1", s.Changed+s.Unchanged)
		}
		<-time.After(reload.Interval + time.Millisecond)
		change("3")
		if v.Again(t.Context()); v.Get() != "3" {
			t.Errorf("an interval later: got %q, want 3", v.Get())
		}
	})
}

// TestAgain_readHangs has a file whose read does not end, as far as Parse can do so.
func TestAgain_readHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hangs, others := filepath.Join(t.TempDir(), "hangs"), filepath.Join(t.TempDir(), "others")
		write(t, hangs, "1")
		write(t, others, "1")
		file, end := joined(hangs), make(chan struct{})
		file.Parse = func(contents [][]byte) (string, error) {
			if string(contents[0]) != "1" {
				<-end
			}
			return string(contents[0]), nil
		}
		v, err := reload.New(file)
		if err != nil {
			t.Fatal(err)
		}
		other, err := reload.New(joined(others))
		if err != nil {
			t.Fatal(err)
		}
		p, ctx := reload.NewPoller(slog.New(slog.DiscardHandler), v, other), t.Context()
		ctx, stop := context.WithCancel(ctx)
		var running sync.WaitGroup
		running.Go(func() { p.Run(ctx) })
		write(t, hangs, "2")
		write(t, others, "2")
		began := time.Now()
		if v.Again(ctx); time.Since(began) != time.Second || v.Get() != "1" {
			t.Errorf("got %q after %v, want the last good value after 1 s", v.Get(), time.Since(began))
		}
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		began = time.Now()
		if v.Again(short); time.Since(began) != time.Millisecond {
			t.Errorf("waited %v, want 1 ms", time.Since(began))
		}
		<-time.After(time.Hour)
		if got := other.Get(); got != "2" {
			t.Errorf("the other file: got %q, want 2", got)
		}
		stop()
		began = time.Now()
		if running.Wait(); time.Since(began) != time.Second {
			t.Errorf("Run ended after %v, want 1 s", time.Since(began))
		}
		close(end)
	})
}

func TestAwait_satisfied(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v, _, change := follow(t, "1")
		is := func(want string) func(string) bool { return func(got string) bool { return got == want } }
		await := func(want string, ok bool, took time.Duration) {
			t.Helper()
			began := time.Now()
			if got := v.Await(t.Context(), 1500*time.Millisecond, is(want)); got != ok || time.Since(began) != took {
				t.Errorf("Await %s = %t after %v, want %t after %v", want, got, time.Since(began), ok, took)
			}
		}
		await("1", true, 0)
		await("2", false, 1500*time.Millisecond)
		change("2")
		await("2", true, 500*time.Millisecond)
	})
}

// TestPoller_valuesComeAndGo adds a file to a poller that runs, and removes another one.
func TestPoller_valuesComeAndGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first, p, change := follow(t, "1")
		path := filepath.Join(t.TempDir(), "added")
		write(t, path, "1")
		added, err := reload.New(joined(path))
		if err != nil {
			t.Fatal(err)
		}
		p.Add(added)
		if got := len(p.States()); got != 2 {
			t.Errorf("%d states, want 2", got)
		}
		p.Remove(first)
		change("2")
		write(t, path, "2")
		p.Poke()
		<-time.After(2 * reload.Interval)
		if first.Get() != "1" || added.Get() != "2" {
			t.Errorf("removed: %q, added: %q, want 1 and 2", first.Get(), added.Get())
		}
		if got := len(p.States()); got != 1 {
			t.Errorf("%d states, want 1", got)
		}
		p.Remove(added)
		p.Add(first)
		<-time.After(reload.Interval)
		synctest.Wait()
		if got := first.Get(); got != "2" {
			t.Errorf("added again: %q, want 2", got)
		}
	})
}
