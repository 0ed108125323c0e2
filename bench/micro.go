package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"time"

	"golang.org/x/perf/benchfmt"

	"samsara.internal/gateway/bench/internal/report"
)

// runMicro runs every Go benchmark once and adds its figures to results.
func runMicro(ctx context.Context, path string, benchTime time.Duration, results map[string][]report.Micro) error {
	command := exec.CommandContext(ctx, path, "-test.run=^$", "-test.bench=.", "-test.benchmem", "-test.benchtime="+benchTime.String()) //nolint:gosec // the command line names the binary
	out, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", path, err, out)
	}
	reader := benchfmt.NewReader(bytes.NewReader(out), path)
	for reader.Scan() {
		switch record := reader.Result().(type) {
		case *benchfmt.SyntaxError:
			return record
		case *benchfmt.Result:
			seconds, _ := record.Value("sec/op")
			allocs, _ := record.Value("allocs/op")
			name := benchmarkName(record.Name)
			results[name] = append(results[name], report.Micro{Time: time.Duration(seconds * float64(time.Second)), Allocs: allocs})
		}
	}
	return reader.Err()
}

// benchmarkName returns the name without the number of processors.
func benchmarkName(name benchfmt.Name) string {
	base, parts := name.Parts()
	for _, part := range parts {
		if part[0] == '/' {
			base = append(base, part...)
		}
	}
	return string(base)
}
