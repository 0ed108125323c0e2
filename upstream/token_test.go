package upstream_test

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"samsara.internal/gateway/internal/reload"
	"samsara.internal/gateway/upstream"
)

// tokenFile is the file of a token that follows it.
type tokenFile struct {
	t     *testing.T
	path  string
	token *upstream.Token
}

// followFile returns a token that follows its file until the test ends.
func followFile(t *testing.T, content string) tokenFile {
	t.Helper()
	f := tokenFile{t: t, path: filepath.Join(t.TempDir(), "token")}
	f.write(content)
	var err error
	if f.token, err = upstream.FileToken("api-token", f.path); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var polling sync.WaitGroup
	polling.Go(func() { reload.NewPoller(slog.New(slog.DiscardHandler), f.token.File()).Run(ctx) })
	t.Cleanup(func() {
		stop()
		polling.Wait()
	})
	return f
}

func (f tokenFile) write(content string) {
	f.t.Helper()
	if err := os.WriteFile(f.path, []byte(content), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// change writes the file and waits until it must have been read.
func (f tokenFile) change(content string) {
	f.t.Helper()
	f.write(content)
	<-time.After(reload.Interval + time.Millisecond)
}

// looks returns how often the file was looked at.
func (f tokenFile) looks() uint64 {
	s := f.token.File().State()
	return s.Changed + s.Unchanged + s.Failed
}

func (f tokenFile) use(cfg *upstream.Config) { cfg.Token = f.token }

// accepting answers requests with these tokens, at once, and 401 to others.
func accepting(tokens ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, token := range tokens {
			if r.Header.Get("Authorization") == "Bearer "+token {
				answer(200, `"`+token+`"`)(w, r)
				return
			}
		}
		answer(401, "Invalid token")(w, r)
	}
}

func TestFileToken_bad(t *testing.T) {
	t.Parallel()
	for content, problem := range map[string]string{
		"":                         "must not be empty",
		" \n":                      "must not be empty",
		"a b":                      "must be printable ASCII without spaces, byte 1 is not",
		"a\nb":                     "byte 1 is not",
		"é":                        "byte 0 is not",
		strings.Repeat("x", 1<<20): "must hold at most 8192 bytes",
	} {
		path := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := upstream.FileToken("api-token", path); err == nil || !strings.Contains(err.Error(), problem) || strings.Contains(err.Error(), "xx") {
			t.Errorf("FileToken of %.10q: %v, want %q and nothing of the content", content, err, problem)
		}
	}
	if _, err := upstream.FileToken("api-token", filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("FileToken of no file: %v", err)
	}
}

func TestToken_static(t *testing.T) {
	t.Parallel()
	f := newFake(t, accepting("one"), accepting())
	client := f.client(func(cfg *upstream.Config) { cfg.Token = upstream.StaticToken(" one\n") })
	if _, err := client.Do(t.Context(), get("/x")); err != nil {
		t.Error(err)
	}
	resp, err := client.Do(t.Context(), get("/x"))
	wantVerdict(t, failure(t, resp, err), codes.Unauthenticated, "UNAUTHORIZED", 1)
	for _, bad := range []string{" ", "a\r\nb", "tökén", "Bearer x", strings.Repeat("x", 1<<20)} {
		_, err := upstream.New(upstream.Config{BaseURL: mustURL(t, "http://localhost"), Token: upstream.StaticToken(bad)})
		if err == nil || !strings.Contains(err.Error(), "Token: API token: must ") || strings.Contains(err.Error(), "xx") {
			t.Errorf("New with the token %.10q: %v", bad, err)
		}
	}
}

func TestToken_followsItsFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := followFile(t, " \tone\r\n")
		f := newServer(t, accepting("one", "two"))
		client := f.client(file.use)
		want := func(step, token string) {
			t.Helper()
			resp, err := client.Do(t.Context(), get("/x"))
			if err != nil || string(resp.Body) != `"`+token+`"` {
				t.Errorf("%s: Do = %+v, %v, want the token %s", step, resp, err, token)
			}
		}
		want("at first", "one")
		file.change("two")
		want("changed", "two")
		file.change("not a token")
		want("bad", "two")
		if err := os.Remove(file.path); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		want("removed for an hour", "two")
		file.change("one")
		want("there again", "one")
	})
}

func TestToken_refusedAndAnotherThere(t *testing.T) {
	t.Parallel()
	for name, req := range map[string]*request{"a read": get("/x"), "a write": post(`{}`)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				file := followFile(t, "one")
				f := newServer(t, accepting("two"))
				client := f.client(file.use, once) // the retry policy does not decide about 401
				file.write("two")
				began := time.Now()
				resp, err := client.Do(t.Context(), req)
				if err != nil || resp.Attempts != 2 || time.Since(began) != 0 {
					t.Errorf("Do = %+v, %v after %v, want 2 attempts at once", resp, err, time.Since(began))
				}
				if got := file.looks(); got != 1 {
					t.Errorf("the file was looked at %d times, want once", got)
				}
			})
		})
	}
}

func TestToken_fileChangesAMomentAfterTheUpstream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := followFile(t, "one")
		f := newServer(t, accepting("two"))
		client := f.client(file.use)
		first, second := goDo(t, client, time.Minute, post(`{}`)), goDo(t, client, time.Minute, post(`{}`))
		<-time.After(100 * time.Millisecond)
		file.write("two")
		for _, done := range []<-chan outcome{first, second} {
			if got := <-done; got.err != nil || got.resp.Attempts != 2 {
				t.Errorf("Do = %+v, %v, want 2 attempts", got.resp, got.err)
			}
		}
	})
}

func TestToken_refusedForGood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := followFile(t, "wrong")
		f := newServer(t, accepting("one"))
		client := f.client(file.use)
		wrong := func(ctx context.Context) {
			t.Helper()
			resp, err := client.Do(ctx, post(`{}`))
			wantVerdict(t, failure(t, resp, err), codes.Unauthenticated, "UNAUTHORIZED", 1)
		}
		short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		began := time.Now()
		wrong(short)
		if took := time.Since(began); took != 400*time.Millisecond {
			t.Errorf("with a deadline of 500 ms it took %v, want 400 ms", took)
		}
		wrong(t.Context())
		if took := time.Since(began); took != 1250*time.Millisecond {
			t.Errorf("the wait for another token took %v, want 1.25 s", took)
		}
		// Ten seconds of calls, one every 10 ms.
		before := file.looks()
		for range 1000 {
			began := time.Now()
			wrong(t.Context())
			if took := time.Since(began); took != 0 {
				t.Errorf("a later call took %v, want no time", took)
			}
			<-time.After(10 * time.Millisecond)
		}
		if got := file.looks() - before; got < 10 || got > 21 {
			t.Errorf("the file was looked at %d times in 10 s, want 10 to 21 times", got)
		}
		file.change("one")
		if _, err := client.Do(t.Context(), post(`{}`)); err != nil {
			t.Error(err)
		}
	})
}

func TestToken_anotherRefusedToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := followFile(t, "one")
		f := newServer(t, accepting("three"))
		client := f.client(file.use)
		file.write("two")
		resp, err := client.Do(t.Context(), post(`{}`))
		wantVerdict(t, failure(t, resp, err), codes.Unauthenticated, "UNAUTHORIZED", 2)
	})
}
