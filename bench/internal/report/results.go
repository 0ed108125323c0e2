// Package report turns measurements into a page of tables and a picture.
//
// Every figure is a median over rounds, with the least and the greatest. A ratio is taken
// within each round, whose measurements lie seconds apart, so that a slow spell of the machine
// falls on both of its sides.
package report

import (
	"fmt"
	"slices"
	"time"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/load"
	"samsara.internal/gateway/bench/internal/peer"
)

// Gateway is the name of the server that all this is about. The others are those of package
// peer.
const Gateway = "gateway"

// Servers returns what is measured, in the order of the tables.
func Servers() []string {
	return []string{Gateway, peer.FloorA, peer.FloorB, peer.FloorC, peer.Protojson, peer.Vanguard}
}

// Cell is one combination that is measured once a round.
type Cell struct {
	Server      string
	Body        fleet.Body
	Concurrency int
}

// Low and High are the concurrencies of the tables.
const (
	Low  = 1
	High = 50
)

// Sizes are the body sizes of the tables, in bytes.
func Sizes() []int { return []int{2 << 10, 50 << 10, 1 << 20} }

// AllSizes adds those in between, at which the gateway alone is measured.
func AllSizes() []int { return []int{2 << 10, 10 << 10, 50 << 10, 250 << 10, 1 << 20} }

// Concurrencies are those of the picture, at the smallest body.
func Concurrencies() []int { return []int{Low, 4, 16, High, 150} }

// Results are the measurements of one run.
type Results struct {
	// Setup are the circumstances, in the order in which to tell them.
	Setup []Fact
	// Rounds is how many values each of the lists below has.
	Rounds  int
	Samples map[Cell][]load.Sample
	// PeakBytes is the most memory that was resident once High answers of the largest body
	// were under way, by server.
	PeakBytes map[string][]float64
	// Micro holds the Go benchmarks, by name without "Benchmark" and the number of processors.
	Micro map[string][]Micro
}

// Fact is one of the circumstances of a run.
type Fact struct{ Name, Value string }

// Micro is one result of a Go benchmark, for one operation.
type Micro struct {
	Time   time.Duration
	Allocs float64
}

// Spread is the median of some values and how far apart they lie. The zero value is that of no
// values.
type Spread struct {
	Median, Min, Max float64
	Count            int
}

func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	s := slices.Sorted(slices.Values(values))
	return Spread{Median: (s[(len(s)-1)/2] + s[len(s)/2]) / 2, Min: s[0], Max: s[len(s)-1], Count: len(s)}
}

// text returns the spread with so many decimals.
func (s Spread) text(decimals int) string {
	if s.Count == 0 {
		return "–"
	}
	return fmt.Sprintf("%.*f (%.*f–%.*f)", decimals, s.Median, decimals, s.Min, decimals, s.Max)
}

// each combines two lists round by round.
func each(a, b []float64, combine func(a, b float64) float64) []float64 {
	combined := make([]float64, min(len(a), len(b)))
	for i := range combined {
		combined[i] = combine(a[i], b[i])
	}
	return combined
}

func ratio(a, b []float64) Spread {
	return spread(each(a, b, func(a, b float64) float64 { return a / b }))
}

// samples returns one figure of every round.
func (r *Results) samples(server string, size int, order fleet.Order, concurrency int, figure func(load.Sample) float64) []float64 {
	var values []float64
	for _, s := range r.Samples[Cell{server, fleet.Body{Bytes: size, Order: order}, concurrency}] {
		values = append(values, figure(s))
	}
	return values
}

// cpu returns microseconds a request at high concurrency.
func (r *Results) cpu(server string, size int) []float64 {
	return r.samples(server, size, fleet.Declared, High, cpuMicros)
}

// micro returns nanoseconds an operation.
func (r *Results) micro(format string, args ...any) []float64 {
	var values []float64
	for _, m := range r.Micro[fmt.Sprintf(format, args...)] {
		values = append(values, float64(m.Time))
	}
	return values
}

func (r *Results) allocs(format string, args ...any) []float64 {
	var values []float64
	for _, m := range r.Micro[fmt.Sprintf(format, args...)] {
		values = append(values, m.Allocs)
	}
	return values
}

func micros(d time.Duration) float64   { return float64(d) / float64(time.Microsecond) }
func cpuMicros(s load.Sample) float64  { return micros(s.CPU) }
func p50Micros(s load.Sample) float64  { return micros(s.P50) }
func p99Micros(s load.Sample) float64  { return micros(s.P99) }
func throughput(s load.Sample) float64 { return s.Throughput }
