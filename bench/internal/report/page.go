package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/load"
	"samsara.internal/gateway/bench/internal/peer"
)

const mebi = 1 << 20

// WritePage writes the tables in Markdown. picture is the address of what WritePicture wrote,
// relative to the page, or empty.
func (r *Results) WritePage(w io.Writer, picture string) error {
	p := &page{}
	p.line("# Benchmark results\n")
	p.line("Written by `make bench`. The figures are those of one run: compare them with each other and with nothing else.")
	p.line("Each is the median of %d rounds (least–greatest); ratios are taken within each round.", r.Rounds)
	p.line("CPU is what the kernel charged the server's process with, a request.\n")
	p.line("Client, server and upstream share the machine and speak plaintext over loopback. gRPC clients have %d connections.", load.Connections)
	p.line("Answers are those of `%s`, request bodies those of `%s`, sizes those of their JSON.", fleet.Stats, fleet.UpdateRoute)
	p.line("The gateway is the binary itself in its default configuration: it checks, logs and counts every call, which the others do not.\n")
	p.line("Floor A is a gRPC server with a canned answer. Floor B is an HTTP server that fetches and sends on. Floor C is a gRPC server")
	p.line("that fetches, and sends a canned answer. `protojson` is a gateway written by hand for one method, `vanguard` is")
	p.line("connectrpc.com/vanguard before a reverse proxy.\n")
	if picture != "" {
		p.line("![CPU a request by body size, throughput by concurrency](%s)", picture)
	}
	p.section("Circumstances")
	for _, fact := range r.Setup {
		p.line("- %s: %s", fact.Name, fact.Value)
	}
	if len(r.Sections) < len(Sections()) {
		p.line("- sections measured, of %v: %v", Sections(), r.Sections)
	}
	for _, fact := range r.LeftOut {
		p.line("- %s: not measured: %s", fact.Name, fact.Value)
	}
	r.writeGoals(p)
	if r.hasBefore() {
		r.writeBefore(p)
	}
	r.writeServers(p)
	if r.Has(Goodput) {
		r.writeGoodput(p)
	}
	if r.Has(Followers) {
		for _, followers := range r.Followers {
			r.writeFollowers(p, followers)
		}
	}
	if r.Has(Proofs) {
		r.writeProofs(p)
	}
	if r.Has(Containers) {
		r.writeContainers(p)
	}
	if r.Has(Translation) {
		r.writeTranslation(p)
	}
	_, err := io.WriteString(w, p.String())
	return err
}

func (r *Results) writeGoals(p *page) {
	p.section("Goals")
	bySize := func(goals []goal, sizes []int) {
		var rows [][]string
		for _, g := range goals {
			row := []string{g.what}
			for _, size := range sizes {
				row = append(row, g.cell(size))
			}
			rows = append(rows, row)
		}
		p.table(columns("goal", sizes), rows)
	}
	if r.Has(Translation) {
		bySize(r.decoderGoals(), Sizes())
	}
	if sizes := r.sizes(); len(sizes) > 0 {
		bySize(r.gatewayGoals(), sizes)
	}
	p.table([]string{"goal", "measured"}, r.otherGoals())
}

// writeBefore writes what changed since the older build, cell by cell.
func (r *Results) writeBefore(p *page) {
	var rows [][]string
	for _, size := range AllSizes() {
		for _, order := range []fleet.Order{fleet.Declared, fleet.Shuffled} {
			for _, c := range Concurrencies() {
				if len(r.Samples[Cell{Before, fleet.Body{Bytes: size, Order: order}, c}]) == 0 {
					continue
				}
				row := []string{fmt.Sprintf("%s, %s, %d", fleet.Body{Bytes: size}, order, c)}
				for _, f := range []struct {
					figure   func(load.Sample) float64
					decimals int
				}{{cpuMicros, 1}, {p50Micros, 0}, {allocs, 1}} {
					today, before := r.samples(Gateway, size, order, c, f.figure), r.samples(Before, size, order, c, f.figure)
					row = append(row, spread(today).text(f.decimals), spread(before).text(f.decimals), ratio(today, before).text(3))
				}
				rows = append(rows, row)
			}
		}
	}
	if len(rows) == 0 {
		return
	}
	p.section("The gateway today and before: " + r.BeforeCommit)
	p.line("Both builds run in turns, in the other order every second round. Allocations are objects a call, which each process's own /metrics counts.")
	p.line("To ask for them allocates some 1,000 objects itself, now more, now less: with few calls, which is with large answers one at a time, they say little.\n")
	header := []string{"size, order, concurrency"}
	for _, what := range []string{"CPU µs", "p50 µs", "allocations"} {
		header = append(header, what+", today", "before", "today/before")
	}
	p.table(header, rows)
}

// writeProofs writes what it costs the gateway to know who calls and what that caller may do.
func (r *Results) writeProofs(p *page) {
	p.section(fmt.Sprintf("Authentication and policy: calls of 2 KB at concurrency %d", High))
	p.line("The gateway alone, in plaintext. The policy has 30 rules and limits. Each connection has one caller, whose token comes with each call.\n")
	var rows [][]string
	for _, proof := range AllProofs() {
		samples, off := r.Proved[proof], r.Proved[NoProof]
		rows = append(rows, []string{
			string(proof), spread(figures(samples, cpuMicros)).text(1),
			ratio(figures(samples, cpuMicros), figures(off, cpuMicros)).text(3), spread(figures(samples, allocs)).text(1),
		})
	}
	p.table([]string{"proof", "CPU µs", "in times of none", "allocations"}, rows)
}

func (r *Results) writeServers(p *page) {
	if sizes := r.sizes(); len(sizes) > 0 {
		r.writeCPU(p, sizes)
	}
	if r.Has(Between) {
		r.writeBetween(p)
	}
	if r.Has(Throughput) {
		r.writeThroughput(p)
	}
	if len(r.PeakBytes) > 0 {
		p.section(fmt.Sprintf("Most memory resident with %d answers of 1 MB under way, MiB", High))
		var rows [][]string
		for _, server := range r.Callers() {
			rows = append(rows, []string{server, spread(scaled(r.PeakBytes[server], 1.0/mebi)).text(0)})
		}
		p.table([]string{"server", "MiB"}, rows)
	}
}

func (r *Results) writeCPU(p *page, sizes []int) {
	p.section(fmt.Sprintf("CPU a request at concurrency %d, µs", High))
	p.table(columns("server", sizes), r.byServer(sizes, func(server string, size int) string {
		own := r.cpu(server, size)
		cell := spread(own).text(0)
		if floor := r.cpu(peer.FloorC, size); len(floor) > 0 {
			cell += ", " + ratio(own, floor).text(2) + " × floor C"
		}
		return cell
	}))
	p.section(fmt.Sprintf("CPU a request at concurrency %d, µs", Low))
	p.table(columns("server", sizes), r.byServer(sizes, func(server string, size int) string {
		return spread(r.samples(server, size, fleet.Declared, Low, cpuMicros)).text(0)
	}))
	p.section(fmt.Sprintf("Latency at concurrency %d, µs", Low))
	p.table(columns("server", sizes), r.byServer(sizes, func(server string, size int) string {
		figure := func(of func(load.Sample) float64) string {
			return spread(r.samples(server, size, fleet.Declared, Low, of)).text(0)
		}
		return "p50 " + figure(p50Micros) + ", p99 " + figure(p99Micros)
	}))
}

func (r *Results) writeBetween(p *page) {
	p.section(fmt.Sprintf("CPU a request of the gateway at concurrency %d, µs, by order of the members", High))
	var rows [][]string
	for _, size := range AllSizes() {
		row := []string{fleet.Body{Bytes: size}.String()}
		for _, order := range []fleet.Order{fleet.Declared, fleet.Shuffled} {
			row = append(row, spread(r.samples(Gateway, size, order, High, cpuMicros)).text(0))
		}
		rows = append(rows, row)
	}
	p.table([]string{"size", "declared order", "shuffled order"}, rows)
}

func (r *Results) writeThroughput(p *page) {
	p.section("Requests a second, 2 KB, by concurrency")
	p.line("The client and the upstream take their share of the same processors.\n")
	header := []string{"server"}
	for _, c := range Concurrencies() {
		header = append(header, fmt.Sprint(c))
	}
	var rows [][]string
	for _, server := range r.Callers() {
		row := []string{server}
		for _, c := range Concurrencies() {
			row = append(row, spread(r.samples(server, Sizes()[0], fleet.Declared, c, throughput)).text(0))
		}
		rows = append(rows, row)
	}
	p.table(header, rows)
}

func (r *Results) writeGoodput(p *page) {
	p.section(fmt.Sprintf("Goodput: 2 KB, a deadline of %s, no quota", Deadline))
	p.line("Goodput is calls a second that are answered with OK in time, and the latencies are theirs. Whoever is refused waits as")
	p.line("long as RetryInfo says, or else for the rest of its deadline. CPU is the server's for each such call.\n")
	var rows [][]string
	for _, server := range r.Servers {
		for _, concurrency := range r.Floods {
			all := r.Flooded[Flood{server, concurrency}]
			if len(all) == 0 {
				continue
			}
			text := func(decimals int, figure func(Flooded) float64) string {
				return spread(figures(all, figure)).text(decimals)
			}
			collections := "–"
			if slices.Contains(r.Builds(), server) {
				collections = text(0, func(f Flooded) float64 { return f.Collections })
			}
			rows = append(rows, []string{
				server, fmt.Sprint(concurrency),
				text(0, func(f Flooded) float64 { return f.Goodput }),
				text(1, func(f Flooded) float64 { return 100 * f.Share }),
				text(1, func(f Flooded) float64 { return millis(f.P50) }),
				text(1, func(f Flooded) float64 { return millis(f.P99) }),
				text(0, func(f Flooded) float64 { return micros(f.CPU) }),
				collections,
				failed(figures(all, func(f Flooded) map[string]int { return f.Failed })),
			})
		}
	}
	p.table([]string{"server", "calls at a time", "goodput, a second", "OK, %", "p50 ms", "p99 ms", "CPU µs", "collections", "failed, all rounds"}, rows)
	rows = nil
	for _, server := range r.Servers {
		if len(r.Flooded[Flood{server, r.Floods[0]}]) > 0 {
			rows = append(rows, []string{server, r.steadiness(server).text(2)})
		}
	}
	p.table([]string{"server", fmt.Sprintf("goodput at %d in times of that at %d", r.Floods[1], r.Floods[0])}, rows)
}

func (r *Results) writeFollowers(p *page, followers int) {
	p.section(fmt.Sprintf("%d streams that follow one feed", followers))
	p.line("A message of %d bytes every %s for each. `%s` is a gRPC server with as many streams and the same bytes, which reads no feed.",
		r.MessageBytes, fleet.TickLength, peer.Stream)
	p.line("Memory is what is resident beyond what was before the streams were opened.\n")
	cpu := func(server string) []float64 {
		return figures(r.Followed[Following{server, followers}], func(f load.Followed) float64 { return micros(f.CPU) })
	}
	memory := func(server string) []float64 {
		return figures(r.Followed[Following{server, followers}], func(f load.Followed) float64 { return f.Bytes / 1024 })
	}
	var rows [][]string
	for _, server := range r.Servers {
		if len(r.Followed[Following{server, followers}]) > 0 {
			rows = append(rows, []string{
				server,
				spread(cpu(server)).text(1), ratio(cpu(server), cpu(peer.Stream)).text(2),
				spread(memory(server)).text(1), ratio(memory(server), memory(peer.Stream)).text(2),
			})
		}
	}
	times := "in times of `" + peer.Stream + "`"
	p.table([]string{"server", "CPU a message, µs", times, "KiB a stream", times}, rows)
}

func (r *Results) writeContainers(p *page) {
	p.section("Large answers with little memory")
	p.line("The gateway alone is in a control group with so much memory and no swap. The peak is the group's.\n")
	var rows [][]string
	for _, c := range AllContainers() {
		for _, server := range r.Builds() {
			all := r.Contained[Confined{server, c}]
			text := func(decimals int, figure func(Contained) float64) string {
				return spread(figures(all, figure)).text(decimals)
			}
			rows = append(rows, []string{
				c.String(), server,
				text(0, func(c Contained) float64 { return float64(c.OK) }),
				text(0, func(c Contained) float64 { return c.PeakBytes / mebi }),
				text(0, func(c Contained) float64 { return float64(c.Kills) }),
				text(1, func(c Contained) float64 { return c.Took.Seconds() }),
				failed(figures(all, func(c Contained) map[string]int { return c.Failed })),
			})
		}
	}
	p.table([]string{"what", "server", fmt.Sprintf("OK within %s", ContainerDeadline), "peak MiB", "kills", "took, s", "failed, all rounds"}, rows)
}

// failed returns how many calls failed, by the name of their code.
func failed(rounds []map[string]int) string {
	sum := map[string]int{}
	for _, round := range rounds {
		for code, n := range round {
			sum[code] += n
		}
	}
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(sum)) {
		parts = append(parts, fmt.Sprintf("%s %d", code, sum[code]))
	}
	return cmp.Or(strings.Join(parts, ", "), "0")
}

func (r *Results) writeTranslation(p *page) {
	p.section("JSON to wire bytes, µs")
	var rows [][]string
	for _, order := range []fleet.Order{fleet.Declared, fleet.Shuffled} {
		for _, size := range AllSizes() {
			row := []string{fmt.Sprintf("%s, %s", fleet.Body{Bytes: size}, order)}
			for _, by := range []string{Gateway, "protojson", "valid"} {
				row = append(row, spread(scaled(r.micro("Decode/%d/%s/%s", size, order, by), 1e-3)).text(1))
			}
			rows = append(rows, append(row,
				spread(r.allocs("Decode/%d/%s/%s", size, order, Gateway)).text(0),
				spread(r.allocs("Decode/%d/%s/protojson", size, order)).text(0)))
		}
	}
	p.table([]string{"size, order", Gateway, "protojson.Unmarshal + proto.Marshal", "encoding/json.Valid", "allocations, gateway", "allocations, protojson"}, rows)

	p.section("Request to JSON, µs")
	rows = nil
	for _, size := range Sizes() {
		ours, message := r.micro("Encode/%d/%s", size, Gateway), r.micro("Encode/%d/message", size)
		protojson := r.micro("Encode/%d/protojson", size)
		rows = append(rows, []string{
			fleet.Body{Bytes: size}.String(),
			spread(scaled(ours, 1e-3)).text(1), spread(scaled(message, 1e-3)).text(1), ratio(ours, message).text(2),
			spread(scaled(protojson, 1e-3)).text(1), ratio(protojson, ours).text(1),
			spread(r.allocs("Encode/%d/%s", size, Gateway)).text(0),
			spread(r.allocs("Encode/%d/message", size)).text(0),
			spread(r.allocs("Encode/%d/protojson", size)).text(0),
		})
	}
	p.table([]string{
		"size", Gateway, "proto.Unmarshal + Encoder", "of its time", "proto.Unmarshal + protojson.Marshal", "times faster",
		"allocations, gateway", "allocations, over a message", "allocations, protojson",
	}, rows)
}

// columns returns a header with one column a size.
func columns(first string, sizes []int) []string {
	header := []string{first}
	for _, size := range sizes {
		header = append(header, fleet.Body{Bytes: size}.String())
	}
	return header
}

// byServer returns one row a server with one cell a size.
func (r *Results) byServer(sizes []int, cell func(server string, size int) string) [][]string {
	var rows [][]string
	for _, server := range r.Callers() {
		row := []string{server}
		for _, size := range sizes {
			row = append(row, cell(server, size))
		}
		rows = append(rows, row)
	}
	return rows
}

// page is Markdown text.
type page struct{ strings.Builder }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *page) section(title string) { p.line("\n## %s\n", title) }

// table writes nothing if there are no rows.
func (p *page) table(header []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	p.line("| %s |", strings.Join(header, " | "))
	p.line("|%s", strings.Repeat(" --- |", len(header)))
	for _, row := range rows {
		p.line("| %s |", strings.Join(row, " | "))
	}
	p.line("")
}
