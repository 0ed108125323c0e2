package upstream_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"samsara.internal/gateway/upstream"
)

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFileTokenFollowsTheFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "token")
		source := upstream.FileToken(path)
		want := func(step, token, problem string) {
			t.Helper()
			got, err := source()
			if got != token || (err == nil) != (problem == "") || err != nil && !strings.Contains(err.Error(), problem) {
				t.Errorf("%s: source() = %q, %v, want %q, %q", step, got, err, token, problem)
			}
		}
		want("missing file", "", "no such file")
		writeFile(t, path, " \tone\r\n")
		want("within the second", "", "no such file")
		<-time.After(time.Second)
		want("a second later", "one", "")
		writeFile(t, path, "two")
		<-time.After(time.Second - 1)
		want("rotated within the second", "one", "")
		<-time.After(1)
		want("rotated a second later", "two", "")
		for content, problem := range map[string]string{
			"":                         "must not be empty",
			" \n":                      "must not be empty",
			"a b":                      "must be printable ASCII without spaces, byte 1 is not",
			"a\nb":                     "byte 1 is not",
			"é":                        "byte 0 is not",
			strings.Repeat("x", 1<<20): "must be at most 8192 bytes long",
		} {
			writeFile(t, path, content)
			<-time.After(time.Second)
			want("bad content", "", problem)
		}
	})
}

func TestFileTokenIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	writeFile(t, path, "one")
	source := upstream.FileToken(path)
	var running sync.WaitGroup
	for range 20 {
		running.Go(func() {
			if got, err := source(); got != "one" || err != nil {
				t.Errorf("source() = %q, %v", got, err)
			}
		})
	}
	running.Wait()
}

func TestStaticTokenIsTrimmed(t *testing.T) {
	t.Parallel()
	if got, err := upstream.StaticToken(" one\n")(); got != "one" || err != nil {
		t.Errorf("source() = %q, %v", got, err)
	}
}
