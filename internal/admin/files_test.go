package admin_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"samsara.internal/gateway/internal/admin"
	"samsara.internal/gateway/internal/reload"
)

func TestReadyz_fileFails(t *testing.T) {
	t.Parallel()
	url := serve(t, admin.Config{
		Metrics: http.NotFoundHandler(),
		Ready:   func() bool { return true },
		Files: func() []reload.State {
			return []reload.State{
				{Name: "api-token", Good: time.Now().Add(-time.Hour), Err: errors.New("open /etc/token: no such file or directory")},
				{Name: "tls", Good: time.Now()},
			}
		},
	})
	const want = "ready\nfile api-token: the last good one is in use, found good 1h0m0s ago: open /etc/token: no such file or directory\n"
	if code, body := do(t, http.MethodGet, url+"/readyz"); code != http.StatusOK || body != want {
		t.Errorf("got %d %q, want 200 %q", code, body, want)
	}
}
