package upstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"samsara.internal/gateway/internal/reload"
)

const (
	// maxTokenBytes bounds a token, and the file it is in.
	maxTokenBytes = 8 << 10
	// tokenGrace is how long calls wait for another token after the one in use was refused for the
	// first time: until the file has been looked at once more.
	tokenGrace = reload.Interval + 250*time.Millisecond
)

// Token is the API token in use. It is safe for concurrent use.
type Token struct {
	// file is nil if the token is fixed.
	file  *reload.Value[string]
	fixed string

	mu sync.Mutex
	// refused is the token that was refused last, and until when calls wait for another one.
	refused string
	until   time.Time
}

// StaticToken returns a token that never changes, without the white space around it.
func StaticToken(token string) *Token { return &Token{fixed: strings.TrimSpace(token)} }

// FileToken returns the token in a file, without the white space around it. It follows the file
// once File is polled: the last good token stays in use until another good one was read. The error
// holds nothing of the content.
func FileToken(path string) (*Token, error) {
	file, err := reload.New(reload.File[string]{
		Name: "api-token", Paths: []string{path}, MaxBytes: maxTokenBytes, Parse: parseToken,
	})
	if err != nil {
		return nil, err
	}
	return &Token{file: file}, nil
}

// File returns what a reload.Poller has to poll, nil if the token is no file's.
func (t *Token) File() reload.Watched {
	if t.file == nil {
		return nil
	}
	return t.file
}

func (t *Token) get() string {
	if t.file == nil {
		return t.fixed
	}
	return t.file.Get()
}

// replaced reports whether another token is in use than one that the upstream has refused. If not,
// it has the file read again, at most once a second, and waits for that. After the first refusal of
// a token it waits longer, because its file may change a moment later than the upstream.
func (t *Token) replaced(ctx context.Context, refused string) bool {
	if t.file == nil {
		return false
	}
	if t.file.Get() == refused {
		t.file.Again(ctx)
	}
	return t.file.Await(ctx, t.grace(refused), func(token string) bool { return token != refused })
}

// grace returns how long to wait still for another token than one that was refused.
func (t *Token) grace(refused string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refused != refused {
		t.refused, t.until = refused, time.Now().Add(tokenGrace)
	}
	return time.Until(t.until)
}

func parseToken(contents [][]byte) (string, error) {
	token := strings.TrimSpace(string(contents[0]))
	return token, checkToken(token)
}

// checkToken refuses what cannot stand in a header. Its errors do not show the token.
func checkToken(token string) error {
	if token == "" {
		return errors.New("API token: must not be empty")
	}
	if len(token) > maxTokenBytes {
		return fmt.Errorf("API token: must be at most %d bytes long", maxTokenBytes)
	}
	if i := strings.IndexFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }); i >= 0 {
		return fmt.Errorf("API token: must be printable ASCII without spaces, byte %d is not", i)
	}
	return nil
}
