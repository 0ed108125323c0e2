package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"samsara.internal/gateway/internal/authn"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/organization"
	"samsara.internal/gateway/internal/policy"
	"samsara.internal/gateway/internal/reload"
)

func tokenUsage() string {
	return `Token makes a static token for a caller. It prints the token, which is shown once and kept nowhere, and the
line for the file of --caller-tokens-file.

Usage:
  gateway token NAME

A name may have several tokens: add the new one's line, give the caller its token, remove the old line.
`
}

// makeToken prints a new token and its line.
func makeToken(args []string, stdout io.Writer) error {
	flags := pflag.NewFlagSet("token", pflag.ContinueOnError)
	flags.Usage = func() {}
	if err := parse(flags, args, 1); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return badUsage("token: needs the NAME of a caller")
	}
	token, line, err := authn.NewToken(flags.Arg(0))
	if err != nil {
		return badUsage("token: %v", err)
	}
	_, err = fmt.Fprintf(stdout, "token  %s\nline   %s\n", token, line)
	return err
}

// policyCheck is what the command policy is told.
type policyCheck struct {
	who, method, organization string
	organizationsFile         string
	asJSON                    bool
}

func policyUsage() string {
	return `Policy check reads a policy as the gateway does, and explains it.

Usage:
  gateway policy check [flags] FILE

It prints each rule with the number of methods that it is for, the rules that decide about no call, and the
methods that nobody may use. With --who it prints what one caller may do, and which rule says so. The exit
code is 1 if the policy cannot be used: then every problem is listed.

Flags:
` + policyFlags(new(policyCheck)).FlagUsagesWrapped(100)
}

func policyFlags(c *policyCheck) *pflag.FlagSet {
	fs := pflag.NewFlagSet("policy check", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {}
	fs.StringVar(&c.who, "who", "", "`IDENTITY` such as token:billing, jwt:SUBJECT, certificate:NAME or anonymous")
	fs.StringVar(&c.method, "method", "", "only this `METHOD`, by its full name")
	fs.StringVar(&c.organization, "organization", "", "`NAME` of the organization; without it, the default one")
	fs.StringVar(&c.organizationsFile, "organizations-file", "", "`FILE` with the organizations that the gateway works for, if there are several")
	fs.BoolVar(&c.asJSON, "json", false, "print JSON")
	return fs
}

// explainPolicy is the command policy.
func explainPolicy(args []string, stdout io.Writer) error {
	if len(args) == 0 || args[0] != "check" {
		if len(args) > 0 && (args[0] == "--help" || args[0] == "-h") {
			return pflag.ErrHelp
		}
		return badUsage("policy: there is one command, gateway policy check FILE")
	}
	var c policyCheck
	flags := policyFlags(&c)
	if err := parse(flags, args[1:], 1); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return badUsage("policy check: needs the FILE of a policy")
	}
	if c.method != "" && c.who == "" {
		return badUsage("--method: needs --who")
	}
	endpoints, err := loadEndpoints()
	if err != nil {
		return err
	}
	content, err := reload.ReadFile(flags.Arg(0), policy.MaxBytes)
	if err != nil {
		return err
	}
	api, err := c.api(endpoints)
	if err != nil {
		return err
	}
	p, err := policy.Parse(content, api)
	var bad *policy.Error
	if errors.As(err, &bad) {
		return fmt.Errorf("%s: cannot be used:\n  %s", flags.Arg(0), strings.Join(bad.Problems, "\n  "))
	}
	if err != nil {
		return err
	}
	if c.who != "" {
		return c.explainCaller(p, stdout)
	}
	return c.writeReport(p.Report(), stdout)
}

// api returns what the policy is for, and sets the organization if none is wanted.
func (c *policyCheck) api(endpoints []*endpoint.Endpoint) (*policy.API, error) {
	if c.organizationsFile == "" {
		c.organization = cmp.Or(c.organization, onlyOrganization)
		return policy.NewAPI(endpoints, onlyOrganization), nil
	}
	content, err := reload.ReadFile(c.organizationsFile, organization.MaxBytes)
	if err != nil {
		return nil, err
	}
	// What the settings would say is not needed.
	file, err := organization.Parse(content, organization.Defaults{BaseURL: "https://api.samsara.com"})
	var bad *organization.Error
	if errors.As(err, &bad) {
		return nil, fmt.Errorf("%s: cannot be used:\n  %s", c.organizationsFile, strings.Join(bad.Problems, "\n  "))
	}
	if err != nil {
		return nil, err
	}
	c.organization = cmp.Or(c.organization, file.Default)
	return policy.NewAPI(endpoints, file.Names()...), nil
}

// explainCaller prints what one caller may do.
func (c policyCheck) explainCaller(p *policy.Policy, stdout io.Writer) error {
	who, err := policy.ParseIdentity(c.who)
	if err != nil || c.who == "*" {
		return badUsage("--who %q: must be anonymous, or certificate:, jwt: or token: and a name", c.who)
	}
	type row struct {
		Method  string `json:"method"`
		Allowed bool   `json:"allowed"`
		Rule    string `json:"rule,omitempty"`
		Limits  string `json:"limits,omitempty"`
	}
	var rows []row
	for _, d := range p.Explain(who, c.organization) {
		if c.method != "" && strings.TrimPrefix(c.method, "/") != d.Method {
			continue
		}
		made := row{Method: d.Method, Allowed: d.Allowed, Rule: d.Rule}
		if d.Limits != nil {
			made.Limits = d.Limits.Name
		}
		rows = append(rows, made)
	}
	if len(rows) == 0 {
		return badUsage("--method %q: is no method, see gateway endpoints", c.method)
	}
	if c.asJSON {
		return writeJSON(stdout, rows)
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "METHOD\t%s\tRULE\tLIMITS\n", "MAY")
	for _, r := range rows {
		may := "no"
		if r.Allowed {
			may = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Method, may, cmp.Or(r.Rule, "(none allows it)"), cmp.Or(r.Limits, "-"))
	}
	return w.Flush()
}

// writeReport prints what a policy comes to.
func (c policyCheck) writeReport(r policy.Report, stdout io.Writer) error {
	if c.asJSON {
		return writeJSON(stdout, r)
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "RULE\tEFFECT\tMETHODS\t%s\n", "DECIDES")
	for _, rule := range r.Rules {
		effect, decides := "deny", "yes"
		if rule.Allow {
			effect = "allow"
		}
		if !rule.Decides {
			decides = "never"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", rule.Name, effect, rule.Methods, decides)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(r.Nobody) == 0 {
		_, err := io.WriteString(stdout, "\nSomebody may use each method.\n")
		return err
	}
	_, err := fmt.Fprintf(stdout, "\nMethods that nobody may use: %d\n  %s\n", len(r.Nobody), strings.Join(r.Nobody, "\n  "))
	return err
}
