package report_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/load"
	"samsara.internal/gateway/bench/internal/report"
)

// results has three rounds, in which the machine gets slower: ratios within a round stay.
func results(gatewayMicros int) *report.Results {
	r := &report.Results{
		Rounds: 3, Setup: []report.Fact{{Name: "machine", Value: "a fake"}},
		Samples: map[report.Cell][]load.Sample{}, PeakBytes: map[string][]float64{}, Micro: map[string][]report.Micro{},
	}
	for slowness := 1; slowness <= 3; slowness++ {
		for _, server := range report.Servers() {
			cpu := time.Duration(100*slowness) * time.Microsecond
			if server == report.Gateway {
				cpu = time.Duration(gatewayMicros*slowness) * time.Microsecond
			}
			for _, size := range report.AllSizes() {
				for _, c := range report.Concurrencies() {
					cell := report.Cell{Server: server, Body: fleet.Body{Bytes: size, Order: fleet.Declared}, Concurrency: c}
					r.Samples[cell] = append(r.Samples[cell], load.Sample{CPU: cpu, P50: cpu, P99: 2 * cpu, Throughput: 1000})
				}
			}
			r.PeakBytes[server] = append(r.PeakBytes[server], float64(50<<20*slowness))
		}
		add := func(nanos int, format string, args ...any) {
			name := fmt.Sprintf(format, args...)
			r.Micro[name] = append(r.Micro[name], report.Micro{Time: time.Duration(nanos * slowness)})
		}
		for _, size := range report.AllSizes() {
			for _, order := range []fleet.Order{fleet.Declared, fleet.Shuffled} {
				add(size, "Decode/%d/%s/gateway", size, order)
				add(size*30, "Decode/%d/%s/protojson", size, order)
				add(size*4, "Decode/%d/%s/valid", size, order)
			}
			add(size, "Encode/%d/gateway", size)
			add(size*2, "Encode/%d/protojson", size)
		}
		add(1000, "Methods/1")
		add(1050, "Methods/387")
	}
	return r
}

func page(t *testing.T, r *report.Results) string {
	t.Helper()
	var b strings.Builder
	if err := r.WritePage(&b, "picture.svg"); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRatiosAreTakenWithinRounds(t *testing.T) {
	t.Parallel()
	text := page(t, results(120))
	for _, want := range []string{
		"- machine: a fake",
		"| gateway: CPU in times of floor C | 1.20 (1.20–1.20); ≤ 1.25: met |",
		"| decoder, shuffled order: times faster than protojson | 30.0 (30.0–30.0); ≥ 18: met |",
		"| gateway | 240 (120–360), 1.20 (1.20–1.20) × floor C |",
		"| gateway: time of a call among 387 methods, in times of that with 1 | 1.05 (1.05–1.05); ≤ 1.1: met |",
		"| gateway: most MiB resident with 50 answers of 1 MB under way | 100 (50–150); ≤ 100: met |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestAGoalThatIsNotReachedIsMissed(t *testing.T) {
	t.Parallel()
	const want = "| gateway: CPU in times of floor C | 1.30 (1.30–1.30); ≤ 1.25: **missed** | 1.30 (1.30–1.30); ≤ 2: met |"
	if text := page(t, results(130)); !strings.Contains(text, want) {
		t.Errorf("the page lacks %q", want)
	}
}

func TestWhatWasNotMeasuredIsSaidToBeSo(t *testing.T) {
	t.Parallel()
	r := results(120)
	clear(r.Samples)
	if text := page(t, r); !strings.Contains(text, "| gateway: times less CPU than vanguard | –; ≥ 3.5: not measured |") {
		t.Error("the page gives a figure for vanguard")
	}
}

func TestThePictureIsXMLAndNamesEveryServer(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := results(120).WritePicture(&b); err != nil {
		t.Fatal(err)
	}
	decoder := xml.NewDecoder(strings.NewReader(b.String()))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, server := range report.Servers() {
		if !strings.Contains(b.String(), ">"+server+"<") {
			t.Errorf("the picture lacks %s", server)
		}
	}
}
