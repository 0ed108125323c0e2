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

// results returns three rounds in which the machine gets slower. The ratios within a round stay the same.
func results(gatewayMicros int) *report.Results {
	r := &report.Results{
		Rounds: 3, Setup: []report.Fact{{Name: "machine", Value: "a fake"}},
		Sections: report.Sections(), Servers: report.Servers(), BeforeCommit: "abcdef0", Floods: [2]int{500, 5000}, Followers: []int{2000},
		Samples: map[report.Cell][]load.Sample{}, PeakBytes: map[string][]float64{}, Micro: map[string][]report.Micro{},
		Flooded: map[report.Flood][]report.Flooded{}, Followed: map[report.Following][]load.Followed{}, Contained: map[report.Confined][]report.Contained{},
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
					r.Samples[cell] = append(r.Samples[cell], load.Sample{CPU: cpu, P50: cpu, P99: 2 * cpu, Throughput: 1000, Allocs: 200})
				}
			}
			r.PeakBytes[server] = append(r.PeakBytes[server], float64(50<<20*slowness))
			for _, concurrency := range r.Floods {
				flood := report.Flood{Server: server, Concurrency: concurrency}
				r.Flooded[flood] = append(r.Flooded[flood], report.Flooded{
					Flood: load.Flood{
						Goodput: float64(60000 / concurrency * slowness), Share: 0.5, P50: 10 * time.Millisecond, P99: 20 * time.Millisecond,
						CPU: cpu, Failed: map[string]int{"DeadlineExceeded": 2, "Unavailable": 1},
					},
					Collections: 4,
				})
			}
			following := report.Following{Server: server, Followers: r.Followers[0]}
			r.Followed[following] = append(r.Followed[following], load.Followed{CPU: cpu, Bytes: 20 << 10})
			for _, container := range report.AllContainers() {
				confined := report.Confined{Server: server, Container: container}
				r.Contained[confined] = append(r.Contained[confined], report.Contained{OK: 40, PeakBytes: 90 << 20, Kills: slowness - 1, Took: time.Second})
			}
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
			add(size*7, "Encode/%d/message", size)
			add(size*12, "Encode/%d/protojson", size)
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

func TestWritePage_ratiosWithinRounds(t *testing.T) {
	t.Parallel()
	text := page(t, results(120))
	for _, want := range []string{
		"- machine: a fake",
		"| gateway: CPU in times of floor C | 1.20 (1.20–1.20); ≤ 1.25: met |",
		"| decoder, shuffled order: times faster than protojson | 30.0 (30.0–30.0); ≥ 18: met |",
		"| gateway | 240 (120–360), 1.20 (1.20–1.20) × floor C |",
		"| gateway: time of a call among 387 methods, in times of that with 1 | 1.05 (1.05–1.05); ≤ 1.1: met |",
		"| gateway: most MiB resident with 50 answers of 1 MB under way | 100 (50–150); ≤ 100: met |",
		"| gateway: CPU at 2 KB and concurrency 50, in times of that before | 1.200 (1.200–1.200); ≤ 1.02: **missed** |",
		"| gateway: goodput at 5000 calls at a time, in times of that at 500 | 0.10 (0.10–0.10); ≥ 0.9: **missed** |",
		"| gateway: 50 answers of 1 MB in 96 MiB, OK within 1m0s | 40 (40–40); ≥ 50: **missed** |",
		"| gateway: 40 answers of 10 MB in 256 MiB, OK within 1m0s | 40 (40–40); ≥ 40: met |",
		"## The gateway today and before: abcdef0",
		"| 2 KB, declared, 50 | 240.0 (120.0–360.0) | 200.0 (100.0–300.0) | 1.200 (1.200–1.200) | 240 (120–360) | 200 (100–300) | 1.200 (1.200–1.200) | 200.0 (200.0–200.0) | 200.0 (200.0–200.0) | 1.000 (1.000–1.000) |",
		"| gateway | 500 | 240 (120–360) | 50.0 (50.0–50.0) | 10.0 (10.0–10.0) | 20.0 (20.0–20.0) | 240 (120–360) | 4 (4–4) | DeadlineExceeded 6, Unavailable 3 |",
		"| gateway before | 200.0 (100.0–300.0) | 1.00 (1.00–1.00) | 20.0 (20.0–20.0) | 1.00 (1.00–1.00) |",
		"| 50 answers of 1 MB in 96 MiB | gateway | 40 (40–40) | 90 (90–90) | 1 (0–2) | 1.0 (1.0–1.0) | 0 |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestWritePage_missedGoal(t *testing.T) {
	t.Parallel()
	const want = "| gateway: CPU in times of floor C | 1.30 (1.30–1.30); ≤ 1.25: **missed** | 1.30 (1.30–1.30); ≤ 2: met |"
	if text := page(t, results(130)); !strings.Contains(text, want) {
		t.Errorf("the page lacks %q", want)
	}
}

func TestWritePage_notMeasured(t *testing.T) {
	t.Parallel()
	r := results(120)
	clear(r.Samples)
	if text := page(t, r); !strings.Contains(text, "| gateway: times less CPU than vanguard | –; ≥ 3.5: not measured |") {
		t.Error("the page gives a figure for vanguard")
	}
}

func TestWritePage_someSections(t *testing.T) {
	t.Parallel()
	r := results(120)
	var err error
	if r.Sections, err = report.ParseSections("goodput, 2kb"); err != nil {
		t.Fatal(err)
	}
	r.LeftOut = []report.Fact{{Name: "containers", Value: "no root"}}
	text := page(t, r)
	for _, want := range []string{"measured, of [micro 1mb 50kb 2kb between throughput goodput followers proofs containers]: [2kb goodput]", "- containers: not measured: no root", "| server | 2 KB |", "## Goodput"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, unwanted := range []string{"| server | 2 KB | 50 KB", "Large answers", "streams that follow", "JSON to wire", "decoder"} {
		if strings.Contains(text, unwanted) {
			t.Errorf("the page has %q", unwanted)
		}
	}
}

func TestParseSections_lists(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"cpu":                "[1mb 50kb 2kb between]",
		"throughput":         "[2kb throughput]",
		"followers,micro":    "[micro followers]",
		"goodput,2kb,50kb, ": "",
	} {
		got, err := report.ParseSections(list)
		if want == "" {
			if err == nil {
				t.Errorf("%q is accepted", list)
			}
		} else if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q: %v, %v, want %s", list, got, err, want)
		}
	}
}

func TestWritePicture_everyServer(t *testing.T) {
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
	r := results(120)
	for _, server := range r.Callers() {
		if !strings.Contains(b.String(), ">"+server+"<") {
			t.Errorf("the picture lacks %s", server)
		}
	}
}
