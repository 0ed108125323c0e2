package admin_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"samsara.internal/gateway/internal/admin"
	"samsara.internal/gateway/internal/reload"
)

func TestReadyz_fileFails(t *testing.T) {
	t.Parallel()
	url := serve(t, admin.Config{
		Metrics: http.NotFoundHandler(),
		Files: func() []reload.State {
			return []reload.State{
				{Name: "api-token", Good: time.Now().Add(-time.Hour), Err: errors.New("open /etc/token: no such file or directory")},
				{Name: "tls", Good: time.Now()},
				{Name: "policy", Good: time.Now(), Err: errors.New("line 1\nready\n" + strings.Repeat("é", 500))},
			}
		},
	})
	want := "ready\nfile api-token: the last good one is in use, found good 1h0m0s ago: open /etc/token: no such file or directory\n" +
		"file policy: the last good one is in use, found good 0s ago: line 1 ready " + strings.Repeat("é", 113) + "\n"
	if code, body := do(t, http.MethodGet, url+"/readyz"); code != http.StatusOK || body != want {
		t.Errorf("got %d %q, want 200 %q", code, body, want)
	}
}
