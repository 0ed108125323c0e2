package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"samsara.internal/gateway/internal/catalog"
	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/explain"
	"samsara.internal/gateway/internal/organization"
	"samsara.internal/gateway/internal/reload"
	"samsara.internal/gateway/proto"
	"samsara.internal/gateway/upstream"
)

// maxExplainBytes bounds a request that is explained. It is the most that --max-request-bytes can be.
const maxExplainBytes = 64 << 20

func explainUsage() string {
	return `Explain prints what a call does: the HTTP request that it makes, its quota, times and retries, how its
pages are read, and the reasons that it can end with. It asks nobody, and needs no token.

Usage:
  gateway explain [flags] METHOD [JSON]

METHOD is a method's full name or the end of it, such as TagsService/GetTag or GetTag; its area and name,
such as tags.GetTag; an operationId; a name that it had before; or an HTTP method and a path, such as
'GET /tags/3914', whose ids then need not be in the request.

JSON is the request in protobuf's JSON form, or where it is: @FILE, or - for standard input; without it
the request is empty. An update mask is a text such as "name,parentTagId", or as grpcurl has it an object
such as {"paths": ["name", "parent_tag_id"]}, of proto names or JSON names. A request that the gateway
refuses is refused in the same words, and the exit code is 1; all that does not depend on the request is
printed nonetheless, except with --curl.

All settings of the gateway apply, from flags, the environment and the file: see gateway help. Further
flags are listed below.
` + config.ExplainUsage()
}

// explainCall prints what a call does.
func explainCall(ctx context.Context, args, environ []string, stdin io.Reader, stdout io.Writer) error {
	endpoints, err := loadEndpoints()
	if err != nil {
		return err
	}
	cfg, err := config.LoadExplain(args, environ, apiOf(endpoints), checkProxy)
	if err != nil {
		return err
	}
	if n := len(cfg.Arguments); n < 1 || n > 2 {
		return badUsage("explain takes METHOD and at most one JSON, got %d arguments", n)
	}
	var request []byte
	if len(cfg.Arguments) == 2 {
		if request, err = readRequest(cfg.Arguments[1], stdin); err != nil {
			return err
		}
	}
	if err := chooseOrganization(&cfg); err != nil {
		return err
	}
	explainer, stop, err := newExplainer(&cfg, endpoints)
	if err != nil {
		return err
	}
	defer stop()
	plan, refusal := explainer.Explain(ctx, cfg.Arguments[0], request)
	switch {
	case plan == nil, cfg.Curl && plan.Request == nil:
	case cfg.Curl:
		_, err = io.WriteString(stdout, plan.Request.Curl())
	case cfg.JSON:
		err = writeJSON(stdout, plan)
	default:
		err = plan.WriteText(stdout)
	}
	return errors.Join(err, refusal)
}

// chooseOrganization makes the settings those of the organization that the call is for, if there is a file of them.
func chooseOrganization(cfg *config.Explain) error {
	if cfg.OrganizationsFile == "" {
		return nil
	}
	content, err := reload.ReadFile(cfg.OrganizationsFile, organization.MaxBytes)
	if err != nil {
		return err
	}
	file, err := organization.Parse(content, organizationDefaults(&cfg.Config))
	if err != nil {
		return fmt.Errorf("%s: %w", cfg.OrganizationsFile, err)
	}
	name := cmp.Or(cfg.Organization, file.Default)
	at := slices.IndexFunc(file.Organizations, func(o organization.Organization) bool { return o.Name == name })
	switch {
	case name == "":
		return badUsage("--organization: is required, because %s has no default", cfg.OrganizationsFile)
	case at < 0:
		return badUsage("--organization: is %q, must be one of %s", name, strings.Join(file.Names(), ", "))
	}
	o := file.Organizations[at]
	cfg.UpstreamURL, cfg.QuotaTokenLimit, cfg.QuotaOrganizationLimit = o.URL(), o.TokenLimit, o.OrganizationLimit
	for _, setting := range []string{"upstream-url", "quota-token-limit", "quota-organization-limit"} {
		cfg.SetOrigin(setting, fmt.Sprintf("organization %q of %s", name, cfg.OrganizationsFile))
	}
	return checkProxyTo(cfg.UpstreamURL)
}

// newExplainer returns an explainer of calls to a gateway with the configuration cfg. It has a client and
// a quota like those of that gateway, and must be stopped.
func newExplainer(cfg *config.Explain, endpoints []*endpoint.Endpoint) (x *explain.Explainer, stop func(), err error) {
	corrections, err := explain.ReadCorrections(proto.Corrections)
	if err != nil {
		return nil, nil, err
	}
	own := cfg.Config
	own.QuotaRedis = config.Secret{} // the store is not asked
	log := slog.New(slog.DiscardHandler)
	limiter, err := newLimiter(own, nil, log)
	if err != nil {
		return nil, nil, err
	}
	target := upstreamTarget{url: own.UpstreamURL, token: upstream.StaticToken(explain.Token)}
	client, err := upstream.New(upstreamConfig(own, target, limiter, log))
	if err != nil {
		return nil, nil, err
	}
	stop = func() {
		client.Close()
		if limiter != nil {
			_ = limiter.Close() // Nobody waits for the limiter.
		}
	}
	return &explain.Explainer{
		Methods: catalog.New(endpoints), Client: client, Quota: limiter, Config: cfg, Corrections: corrections,
	}, stop, nil
}

// readRequest returns a request from the argument itself, or from the file or standard input that the
// argument names.
func readRequest(text string, stdin io.Reader) ([]byte, error) {
	file, isFile := strings.CutPrefix(text, "@")
	switch {
	case isFile:
		return reload.ReadFile(file, maxExplainBytes)
	case text == "-":
		all, err := io.ReadAll(io.LimitReader(stdin, maxExplainBytes+1))
		if err == nil && len(all) > maxExplainBytes {
			err = fmt.Errorf("standard input: more than %d bytes", maxExplainBytes)
		}
		return all, err
	default:
		return []byte(text), nil
	}
}
