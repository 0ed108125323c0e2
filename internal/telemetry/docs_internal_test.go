package telemetry

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"samsara.internal/gateway/internal/feed"
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

// TestDocs_metrics compares the table in docs/metrics.md with what is registered: each of the gateway's own metrics is in
// one row, with its labels.
func TestDocs_metrics(t *testing.T) {
	t.Parallel()
	m, err := New(Options{})
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
		m.WatchFeeds(func() []feed.Lag { return nil }),
		m.WatchAudit(func() (written, failed uint64) { return 0, 0 }),
		m.WatchConnections(func() (open, limit int64, refused uint64) { return 0, 0, 0 }),
	)
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]string)
	parts := regexp.MustCompile(`fqName: "` + namespace + `_(\w+)", .*constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)
	constant := regexp.MustCompile(`(\w+)="`)
	for d := range descriptions(m.registry) {
		found := parts.FindStringSubmatch(d.String())
		if found == nil {
			continue
		}
		labels := strings.FieldsFunc(found[3], func(r rune) bool { return r == ',' })
		for _, name := range constant.FindAllStringSubmatch(found[2], -1) {
			labels = append(labels, name[1])
		}
		slices.Sort(labels)
		want[found[1]] = strings.Join(labels, " ")
	}

	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	_, table, _ := strings.Cut(string(text), "| Metric | Labels |")
	for line := range strings.Lines(table) {
		cells := strings.SplitN(line, "|", 4)
		if len(cells) < 4 || !strings.HasPrefix(line, "| `") {
			continue
		}
		named := func(cell string) []string {
			return strings.FieldsFunc(cell, func(r rune) bool { return strings.ContainsRune("`, ", r) })
		}
		labels := named(cells[2])
		slices.Sort(labels)
		for _, metric := range named(cells[1]) {
			if _, twice := got[metric]; twice {
				t.Errorf("%s is in two rows", metric)
			}
			got[metric] = strings.Join(labels, " ")
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics and their labels (-registered +docs/metrics.md):\n%s", diff)
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
