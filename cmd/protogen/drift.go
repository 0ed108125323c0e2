package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"samsara.internal/gateway/cmd/protogen/internal/surface"
)

// drift returns what the document at spec would change in the tree below root.
func drift(ctx context.Context, spec, root string) (surface.Report, error) {
	m, err := load(ctx, spec, root)
	if err != nil {
		return surface.Report{}, err
	}
	return surface.Drift(ctx, m, root)
}

// printReport writes a report as JSON, or as text for people: one line that sums it up, and one for each
// change.
func printReport(out io.Writer, report surface.Report, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(report)
	}
	if _, err := fmt.Fprintf(out, "drift: %s (%d changes, %d files, %d lines added, %d removed)\n",
		report.Severity, len(report.Changes), report.Files, report.LinesAdded, report.LinesRemoved); err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range report.Changes {
		if _, err := fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.Severity, c.What, c.Where, c.Detail); err != nil {
			return err
		}
	}
	return table.Flush()
}
