package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/pflag"

	"samsara.internal/gateway/internal/admin"
	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/quota"
)

const (
	// quotaPatience bounds how long the command quota waits for an answer.
	quotaPatience = 5 * time.Second
	// maxQuotaBytes bounds that answer, which has some hundred bytes for each operation of an organization.
	maxQuotaBytes = 32 << 20
)

// inUse leaves out the budgets of operations that nobody has used. There are hundreds of them.
func inUse(snapshot func() quota.Snapshot) func() quota.Snapshot {
	return func() quota.Snapshot {
		s := snapshot()
		s.Budgets = slices.DeleteFunc(s.Budgets, func(b quota.BudgetState) bool {
			return strings.HasPrefix(b.Name, quota.OperationPrefix) &&
				b.Admitted == 0 && b.Throttled == 0 && b.Waiting == 0 && b.PausedUntil.IsZero()
		})
		return s
	}
}

func quotaUsage() string {
	return `Quota prints the state of a running gateway's budgets: of the token, the organization and the
operations that were called, for each organization that the gateway works for.

Usage:
  gateway quota [flags]

LIMIT      the configured limit
EFFECTIVE  how much of the limit is admitted now: less by the margin, after 429s, and without the store
USED       how many requests the gateway sent in the last window
WAITING    how many requests that take from the budget wait
OLDEST     how long the first request that this budget holds up has waited
429s       how many times Samsara answered 429
PAUSED     how much longer nothing is sent because of a 429

While requests wait, the callers of the first 20 follow, with the budget that holds them up. If it is
"retry", they wait before a further attempt, after an error.

Flags:
` + quotaFlags(new(quotaWanted)).FlagUsagesWrapped(100)
}

// quotaWanted is what the command quota is told.
type quotaWanted struct{ scheme, address, authorities, format, organization string }

func quotaFlags(wanted *quotaWanted) *pflag.FlagSet {
	fs := pflag.NewFlagSet("quota", pflag.ContinueOnError)
	fs.Usage = func() {}
	fs.StringVar(&wanted.address, "admin", "127.0.0.1:9464", "`ADDRESS` of the gateway's admin listener, with https:// in front if it has TLS")
	fs.StringVar(&wanted.authorities, "ca-file", "", "PEM `FILE` with the authorities of its certificate, if they are not the system's")
	fs.StringVar(&wanted.format, "format", "table", "`FORMAT` of the state: table or json")
	fs.StringVar(&wanted.organization, "organization", "", "`NAME` of the organization; without it, all")
	return fs
}

// showQuota prints the state of a running gateway's quota.
func showQuota(ctx context.Context, args []string, stdout io.Writer) error {
	wanted := quotaWanted{scheme: "http://"}
	if err := parse(quotaFlags(&wanted), args, 0); err != nil {
		return err
	}
	if rest, secured := strings.CutPrefix(wanted.address, "https://"); secured {
		wanted.scheme, wanted.address = "https://", rest
	}
	address, format := wanted.address, wanted.format
	if format != "table" && format != "json" {
		return badUsage("--format %q: not table or json", format)
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return badUsage("--admin %q: not of the form HOST:PORT", address)
	}
	// The request does not go through the proxy that the environment may name.
	via := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	if wanted.authorities != "" {
		var err error
		if via.TLSClientConfig.RootCAs, err = readAuthorities(wanted.authorities); err != nil {
			return fmt.Errorf("--ca-file: %w", err)
		}
	}
	answer, err := askQuota(ctx, via, wanted)
	if err != nil {
		return err
	}
	var state admin.Quotas
	if err := json.Unmarshal(answer, &state); err != nil {
		return fmt.Errorf("the answer of %s is not the state of a quota: %w", address, err)
	}
	if format == "json" {
		_, err := stdout.Write(answer)
		return err
	}
	return writeQuotas(stdout, state)
}

// writeQuotas writes the state of each organization, under its name if there are several.
func writeQuotas(w io.Writer, all admin.Quotas) error {
	for i, name := range slices.Sorted(maps.Keys(all.Organizations)) {
		if len(all.Organizations) > 1 {
			between := ""
			if i > 0 {
				between = "\n"
			}
			if _, err := fmt.Fprintf(w, "%sORGANIZATION %s\n", between, printable(name)); err != nil {
				return err
			}
		}
		if err := writeQuota(w, all.Organizations[name]); err != nil {
			return err
		}
	}
	return nil
}

// askQuota returns the state of the quota as a gateway's admin listener has it.
func askQuota(ctx context.Context, via http.RoundTripper, wanted quotaWanted) ([]byte, error) {
	address, what, query := wanted.address, "no quota", ""
	if wanted.organization != "" {
		what = fmt.Sprintf("no quota, or no organization %q", wanted.organization)
		query = "?" + url.Values{admin.OrganizationParameter: {wanted.organization}}.Encode()
	}
	ctx, cancel := context.WithTimeout(ctx, quotaPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, wanted.scheme+address+admin.QuotaPath+query, nil)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Client{Transport: via}).Do(req)
	if err != nil {
		return nil, fmt.Errorf("no gateway answers at %s: %w", address, err)
	}
	defer func() {
		_ = resp.Body.Close() // It has been read.
	}()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, fmt.Errorf("the gateway at %s has %s: %s answers %s", address, what, admin.QuotaPath, resp.Status)
	default:
		return nil, fmt.Errorf("the gateway at %s does not return its quota: %s answers %s", address, admin.QuotaPath, resp.Status)
	}
	answer, err := io.ReadAll(http.MaxBytesReader(nil, resp.Body, maxQuotaBytes))
	if err != nil {
		return nil, fmt.Errorf("the answer of %s: %w", address, err)
	}
	return answer, nil
}

func writeQuota(w io.Writer, q admin.Quota) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BUDGET\tLIMIT\tEFFECTIVE\tUSED\tWAITING\tOLDEST\t429s\tPAUSED")
	for _, b := range q.Budgets {
		limit, effective := "none", "-"
		if b.Limit != nil {
			limit = config.FormatLimit(quota.Limit{Requests: b.Limit.Requests, Window: seconds(b.Limit.WindowSeconds)})
			effective = strconv.FormatFloat(math.Round(b.Effective*10)/10, 'f', -1, 64)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\t%d\t%s\n", b.Name, limit, effective, b.Used, b.Waiting,
			timeOrNone(b.OldestSeconds), b.Throttled, timeOrNone(b.PausedSeconds))
	}
	if len(q.Waiters) > 0 {
		// This is a second table, with columns of its own.
		fmt.Fprintln(table, "\nCALLER\tPRIORITY\tWAITING\tOLDEST\tFOR")
	}
	for _, w := range q.Waiters {
		priority := "interactive"
		if w.Batch {
			priority = "batch"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\n", printable(w.Caller), priority, w.Count, timeOrNone(w.OldestSeconds), cmp.Or(w.Budget, "retry"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", describeStore(q.Store))
	return err
}

// printable returns a caller's name without characters that a terminal would act on: callers choose it.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, name)
}

// timeOrNone returns a duration as text, a dash if it is 0.
func timeOrNone(s float64) string {
	if s <= 0 {
		return "-"
	}
	return seconds(s).Round(time.Millisecond).String()
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func describeStore(s *admin.Store) string {
	switch {
	case s == nil:
		return "The budgets are this gateway's own: there is no store."
	case s.Up:
		return fmt.Sprintf("The budgets are shared through the store; replicas: %d, times lost: %d.", s.Replicas, s.Lost)
	default:
		return fmt.Sprintf("The store is away: a local share (1/%d) of each budget is used; times lost: %d.\n%s",
			s.Replicas, s.Lost, s.Error)
	}
}
