package telemetry_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/reload"
	"samsara.internal/gateway/internal/telemetry"
)

func TestWatchFiles_readAtEachScrape(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	states := func() []reload.State {
		return []reload.State{
			{Name: "api-token", Changed: 1, Unchanged: 20, Failed: 3, FailedInARow: 2, Good: time.UnixMilli(1500), Taken: time.Unix(1, 0), Err: errors.New("secret")},
			{Name: "tls", Good: time.Unix(2, 0)},
		}
	}
	dates := func() []telemetry.Certificate {
		return []telemetry.Certificate{{Name: "server", NotAfter: time.Unix(3, 0)}}
	}
	if err := errors.Join(m.WatchFiles(states), m.WatchCertificates(dates)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"samsara_gateway_file_looks_total": {
			`samsara_gateway_file_looks_total{file="api-token",result="changed"} 1`,
			`samsara_gateway_file_looks_total{file="api-token",result="failed"} 3`,
			`samsara_gateway_file_looks_total{file="api-token",result="unchanged"} 20`,
			`samsara_gateway_file_looks_total{file="tls",result="changed"} 0`,
			`samsara_gateway_file_looks_total{file="tls",result="failed"} 0`,
			`samsara_gateway_file_looks_total{file="tls",result="unchanged"} 0`,
		},
		"samsara_gateway_file_consecutive_failures": {
			`samsara_gateway_file_consecutive_failures{file="api-token"} 2`,
			`samsara_gateway_file_consecutive_failures{file="tls"} 0`,
		},
		"samsara_gateway_file_changed_timestamp_seconds{file=\"api-token\"}": {
			`samsara_gateway_file_changed_timestamp_seconds{file="api-token"} 1`,
		},
		"samsara_gateway_file_good_timestamp_seconds": {
			`samsara_gateway_file_good_timestamp_seconds{file="api-token"} 1.5`,
			`samsara_gateway_file_good_timestamp_seconds{file="tls"} 2`,
		},
		"samsara_gateway_certificate_not_after_timestamp_seconds": {
			`samsara_gateway_certificate_not_after_timestamp_seconds{certificate="server"} 3`,
		},
	} {
		if diff := cmp.Diff(want, scrape(t, m, name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if m.WatchFiles(states) == nil || m.WatchCertificates(dates) == nil {
		t.Error("the same was watched twice")
	}
}
