package upstream

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// tokenCheckInterval is how long FileToken believes what it read.
	tokenCheckInterval = time.Second
	// maxTokenBytes bounds a token and the file it is in.
	maxTokenBytes = 8 << 10
)

// StaticToken returns a token source that always returns token, without the white space
// around it.
func StaticToken(token string) func() (string, error) {
	token = strings.TrimSpace(token)
	return func() (string, error) { return token, nil }
}

// FileToken returns a token source that reads a file, without the white space around its
// content. The file is read again when the last reading is a second old, so a rotated token is
// taken up without a restart; while it cannot be read there is no token. The source is safe for
// concurrent use, and its errors hold nothing of the content.
func FileToken(path string) func() (string, error) {
	var (
		mu    sync.Mutex
		until time.Time
		token string
		err   error
	)
	return func() (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); !now.Before(until) {
			token, err = readToken(path)
			until = now.Add(tokenCheckInterval)
		}
		return token, err
	}
}

func readToken(path string) (token string, err error) {
	file, err := os.Open(path) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return "", fmt.Errorf("API token: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	content, err := io.ReadAll(io.LimitReader(file, maxTokenBytes+1))
	if err != nil {
		return "", fmt.Errorf("API token: %w", err)
	}
	token = strings.TrimSpace(string(content))
	if err := checkToken(token); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return token, nil
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
