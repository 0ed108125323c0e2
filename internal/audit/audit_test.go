package audit_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"samsara.internal/gateway/internal/audit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, cfg audit.Config) *audit.Log {
	t.Helper()
	l, err := audit.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func read(t *testing.T, path string) []map[string]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var lines []map[string]string
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		line := make(map[string]string)
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", scanner.Text(), err)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestLog_wholeLines(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, audit.Config{Path: path, MaxBytes: 1 << 20, Files: 2})
	evil := "1\n{\"identity\":\"token:admin\"}\r\u2028\""
	if err := l.Write(audit.Record{
		Stage: audit.Ended, Identity: "token:billing", Caller: "billing/report", Organization: "default", Method: "m", HTTPMethod: "DELETE", Path: "/tags/" + evil,
		Code: "NotFound", Reason: "NOT_FOUND", HTTPStatus: "404", Processed: "no", RequestID: "r", Rule: "x", Duration: time.Second,
	}); err != nil {
		t.Fatal(err)
	}
	lines := read(t, path)
	if len(lines) != 1 {
		t.Fatalf("%d lines, want 1", len(lines))
	}
	if lines[0]["time"] == "" {
		t.Error("the line has no time")
	}
	delete(lines[0], "time")
	want := map[string]string{
		"msg": "audit", "stage": "ended", "identity": "token:billing", "caller": "billing/report", "organization": "default", "method": "m", "http_method": "DELETE",
		"path": "/tags/" + evil, "code": "NotFound", "reason": "NOT_FOUND", "http_status": "404", "processed": "no", "request_id": "r", "rule": "x", "duration": "1s",
	}
	if diff := cmp.Diff(want, lines[0]); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v, want mode 0600", info.Mode(), err)
	}
}

func TestLog_boundedDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.log")
	l := open(t, audit.Config{Path: path, MaxBytes: 1000, Files: 3})
	var writing sync.WaitGroup
	for range 4 {
		writing.Go(func() {
			for i := range 50 {
				if err := l.Write(audit.Record{Method: fmt.Sprint(i), Path: strings.Repeat("p", 60)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	total := 0
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Size() > 1000 {
			t.Errorf("%s has %d bytes, %v", f.Name(), info.Size(), err)
		}
		names = append(names, f.Name())
		total += len(read(t, filepath.Join(dir, f.Name())))
	}
	if diff := cmp.Diff([]string{"audit.log", "audit.log.1", "audit.log.2"}, names); diff != "" || total < 10 {
		t.Errorf("%d lines in files (-want +got):\n%s", total, diff)
	}
	if written, failed := l.Counts(); written != 200 || failed != 0 {
		t.Errorf("%d lines written and %d not, want 200 and 0", written, failed)
	}
}

func TestLog_renamedByOthers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, audit.Config{Path: path, MaxBytes: 1 << 20, Files: 1})
	for i := range 4 {
		if i == 2 {
			if err := os.Rename(path, path+".old"); err != nil {
				t.Fatal(err)
			}
			l.Reopen()
		}
		if err := l.Write(audit.Record{Method: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if old, now := read(t, path+".old"), read(t, path); len(old) != 2 || len(now) != 2 || now[0]["method"] != "2" {
		t.Errorf("%v and %v, want two lines each", old, now)
	}
}

// TestLog_outage takes away the folder of the file, and gives it back.
func TestLog_outage(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "audit.log")
	l := open(t, audit.Config{Path: path, MaxBytes: 1 << 20, Files: 1})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	l.Reopen()
	if err := l.Write(audit.Record{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that there is no such folder", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.Write(audit.Record{}); err != nil {
		t.Errorf("got %v, want a line", err)
	}
	if written, failed := l.Counts(); written != 1 || failed != 1 {
		t.Errorf("%d lines written and %d not, want one each", written, failed)
	}
}

// TestLog_rotationFails has a folder where the older file should go.
func TestLog_rotationFails(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, audit.Config{Path: path, MaxBytes: 1000, Files: 2})
	if err := os.MkdirAll(filepath.Join(path+".1", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		_ = l.Write(audit.Record{Path: strings.Repeat("p", 100)})
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > 1000 {
		t.Errorf("the file has %d bytes, %v, want 1000 at most", info.Size(), err)
	}
	written, failed := l.Counts()
	if lines := len(read(t, path)); uint64(lines) != written || written+failed != 100 {
		t.Errorf("%d lines, %d written and %d not, want as many as were written of 100", lines, written, failed)
	}
	if err := os.RemoveAll(path + ".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Write(audit.Record{Path: strings.Repeat("p", 100)}); err != nil || len(read(t, path)) != 1 {
		t.Errorf("got %v, want one line in a new file", err)
	}
}

func TestLog_closed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, audit.Config{Path: path, MaxBytes: 1000, Files: 1})
	l.Close()
	if err := l.Write(audit.Record{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want os.ErrClosed", err)
	}
	if _, failed := l.Counts(); failed != 1 || len(read(t, path)) != 0 {
		t.Errorf("%d lines counted as not written, want 1, and none in the file", failed)
	}
}

// hanging never ends a write until it is told to.
type hanging struct{ over chan struct{} }

func (h hanging) Write(p []byte) (int, error) {
	<-h.over
	return len(p), nil
}

func TestLog_hangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := hanging{make(chan struct{})}
		l, err := audit.Open(audit.Config{Path: audit.Stdout, Stdout: h})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		var writing sync.WaitGroup
		for range 2000 {
			writing.Go(func() {
				if err := l.Write(audit.Record{}); !errors.Is(err, audit.ErrSlow) {
					t.Errorf("got %v, want ErrSlow", err)
				}
			})
		}
		writing.Wait()
		if took := time.Since(begun); took != time.Second {
			t.Errorf("2000 calls waited for %v, want a second", took)
		}
		close(h.over)
		l.Close()
	})
}

func TestOpen_refused(t *testing.T) {
	t.Parallel()
	if _, err := audit.Open(audit.Config{Path: t.TempDir(), MaxBytes: 1, Files: 1}); err == nil {
		t.Error("a folder is taken")
	}
	if _, err := audit.Open(audit.Config{Path: os.DevNull, MaxBytes: 1, Files: 1}); err == nil || !strings.Contains(err.Error(), "must be a regular file") {
		t.Errorf("a device: got %v", err)
	}
}

func ExampleLog_Write() {
	var out bytes.Buffer
	l, err := audit.Open(audit.Config{Path: audit.Stdout, Text: true, Stdout: &out})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	err = l.Write(audit.Record{Stage: audit.Ended, Identity: "token:billing", Method: "samsara_gateway.tags.v1.TagsService/DeleteTag", Path: "/tags/7", Code: "OK", Processed: "yes"})
	_, line, _ := strings.Cut(out.String(), " ") // without the time
	_, _ = io.Copy(io.Discard, &out)
	fmt.Print(line, err)
	// Output:
	// msg=audit stage=ended identity=token:billing method=samsara_gateway.tags.v1.TagsService/DeleteTag path=/tags/7 code=OK processed=yes duration=0s
	// <nil>
}
