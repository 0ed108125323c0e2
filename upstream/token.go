package upstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"samsara.internal/gateway/internal/reload"
)

const (
	// maxTokenBytes bounds a token, and the file it is in.
	maxTokenBytes = 8 << 10
	// tokenGrace is how long requests wait for another token after the one in use was refused for the
	// first time: until the file has been read once more.
	tokenGrace = reload.Interval + 250*time.Millisecond
)

// Tokens are what a client proves itself by. *Token is one. Its methods are called concurrently.
type Tokens interface {
	// Get returns the access token to send, and the Key that it is for. It may wait until ctx ends. If there is none, the
	// error, which shows no token, says why, and wait is how long it takes until there may be one.
	Get(ctx context.Context) (token, key string, wait time.Duration, err error)
	// Key says for which permissions the token in use is. Answers are shared, and cached, for requests with the same.
	Key() string
	// Replaced reports whether another token is in use than one that the upstream has refused. It may wait for that, until
	// ctx ends.
	Replaced(ctx context.Context, refused string) bool
}

var _ Tokens = (*Token)(nil)

// Token is the API token in use. It is safe for concurrent use.
type Token struct {
	// file is nil if the token is fixed.
	file  atomic.Pointer[reload.Value[string]]
	fixed string

	mu sync.Mutex
	// refused is the token that was refused last, and until is when requests stop waiting for another one.
	refused string
	until   time.Time
}

// StaticToken returns a token that never changes, without the white space around it.
func StaticToken(token string) *Token { return &Token{fixed: strings.TrimSpace(token)} }

// FileToken returns the token in a file, without the white space around it. It follows the file while
// File is polled: the last good token stays in use until another good one has been read. name is the file's in logs
// and metrics. The error does not show the content.
func FileToken(name, path string) (*Token, error) {
	file, err := reload.New(reload.File[string]{
		Name: name, Paths: []string{path}, MaxBytes: maxTokenBytes, Parse: parseToken,
	})
	if err != nil {
		return nil, err
	}
	t := new(Token)
	t.file.Store(file)
	return t, nil
}

// Follow makes t follow the file of another token, which must be a FileToken, and returns the file that it has
// followed so far. Both are for a reload.Poller to know. A fixed token must not follow another one.
func (t *Token) Follow(other *Token) (former reload.Watched) {
	if before := t.file.Swap(other.file.Load()); before != nil {
		return before
	}
	return nil
}

// File returns the file for a reload.Poller to poll, nil if the token is fixed.
func (t *Token) File() reload.Watched {
	if file := t.file.Load(); file != nil {
		return file
	}
	return nil
}

// Get implements Tokens. There always is a token.
func (t *Token) Get(context.Context) (token, key string, wait time.Duration, err error) {
	token = t.Key()
	return token, token, 0, nil
}

// Key implements Tokens: each token has permissions of its own.
func (t *Token) Key() string {
	if file := t.file.Load(); file != nil {
		return file.Get()
	}
	return t.fixed
}

// Replaced reports whether the token in use is another one than the one that the upstream has refused. If
// it is not, Replaced has the file read again, at most once a second, and waits for that. After the first
// refusal of a token it waits longer, because the file may change a moment later than the upstream.
func (t *Token) Replaced(ctx context.Context, refused string) bool {
	file := t.file.Load()
	if file == nil {
		return false
	}
	if file.Get() == refused {
		file.Again(ctx)
	}
	return file.Await(ctx, t.grace(refused), func(token string) bool { return token != refused })
}

// grace returns how much longer to wait for another token than the refused one.
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

// checkToken returns why a token cannot be sent in a header. The error does not show the token.
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
