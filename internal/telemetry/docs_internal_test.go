package telemetry

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/reload"
	"samsara.internal/gateway/upstream"
)

// idle is an upstream that gets no requests.
type idle struct{}

func (idle) CachedBytes() int64        { return 0 }
func (idle) Circuit() upstream.Circuit { return upstream.CircuitClosed }
func (idle) OpenCircuits() int         { return 0 }

// TestDocs_metrics compares the tables in docs/metrics.md with what is registered: each metric of calls, and
// each of the gateway's own, is in one row.
func TestDocs_metrics(t *testing.T) {
	t.Parallel()
	m, err := New(Build{})
	if err != nil {
		t.Fatal(err)
	}
	memory := lease.NewPool(1)
	err = errors.Join(
		m.WatchFiles(func() []reload.State { return nil }),
		m.WatchCertificates(func() []Certificate { return []Certificate{{NotAfter: time.Now()}} }),
		m.WatchMemory(memory, memory),
		m.WatchQuota(func() map[string]quota.Snapshot { return map[string]quota.Snapshot{"default": {}} }),
		m.WatchUpstreams(func() map[string]Upstream { return map[string]Upstream{"default": idle{}} }),
		m.WatchCalls(func() (running, limit int64, refused uint64) { return 0, 0, 0 }),
		m.WatchAudit(func() (written, failed uint64) { return 0, 0 }),
		m.WatchConnections(func() (open, limit int64, refused uint64) { return 0, 0, 0 }),
	)
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]int)
	name := regexp.MustCompile(`fqName: "((?:` + namespace + `|grpc_server)_\w+)"`)
	for d := range descriptions(m.registry) {
		if found := name.FindStringSubmatch(d.String()); found != nil {
			want[strings.TrimPrefix(found[1], namespace+"_")] = 1
		}
	}

	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int)
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		names, _, _ := strings.Cut(line[2:], " | ")
		for metric := range strings.SplitSeq(names, ", ") {
			got[strings.Trim(metric, "`")]++
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-registered +docs/metrics.md):\n%s", diff)
	}
	t.Logf("%d metrics are in the documentation", len(got))
}

// descriptions yields the descriptions of a registry.
func descriptions(registry *prometheus.Registry) <-chan *prometheus.Desc {
	all := make(chan *prometheus.Desc)
	go func() {
		defer close(all)
		registry.Describe(all)
	}()
	return all
}
