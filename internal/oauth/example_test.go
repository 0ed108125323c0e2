package oauth_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"samsara.internal/gateway/internal/oauth"
)

// always answers every request with one pair of tokens.
type always struct{}

func (always) RoundTrip(r *http.Request) (*http.Response, error) {
	body := `{"access_token":"a-1","refresh_token":"r-1","expires_in":3600}`
	header := http.Header{"Content-Type": {"application/json"}}
	return &http.Response{StatusCode: http.StatusOK, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// A grant gives the refresh token in its file away for an access token, and writes the new one.
func ExampleGrant_Get() {
	dir, err := os.MkdirTemp("", "grant")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	secret, refresh := filepath.Join(dir, "secret"), filepath.Join(dir, "refresh")
	_ = os.WriteFile(secret, []byte("s"), 0o600)    // Open says if it fails.
	_ = os.WriteFile(refresh, []byte("r-0"), 0o600) // As above.
	g, err := oauth.Open(oauth.Config{
		Name: "north", TokenURL: "https://api.samsara.com/oauth2/token", ClientID: "c", SecretFile: secret, RefreshFile: refresh,
		Client: &http.Client{Transport: always{}}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	token, _, _, err := g.Get(context.Background())
	text, _ := os.ReadFile(refresh)
	fmt.Printf("%s %s%v\n", token, text, err)
	// Output: a-1 r-1
	// <nil>
}
