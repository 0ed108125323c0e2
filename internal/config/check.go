package config

import "strings"

// maxMetricsBuckets bounds the classic buckets of histograms, each of which is a line for every operation.
const maxMetricsBuckets = 20

// check reports settings that do not fit together, except those that checkTarget reports.
func (c *Config) check(l *loader) {
	if (c.TLSCertFile == "") != (c.TLSKeyFile == "") {
		l.problem("--tls-cert-file and --tls-key-file: one is given without the other")
	}
	if c.TLSClientCAFile != "" && c.TLSCertFile == "" {
		l.problem("%s: has no effect without --tls-cert-file and --tls-key-file", l.where("tls-client-ca-file"))
	}
	if c.TLSCertFile == "" && !c.Insecure && !isLoopback(c.Listen) {
		l.problem("%s: beyond loopback, which needs --tls-cert-file and --tls-key-file, or --insecure", l.where("listen"))
	}
	if (c.AdminTLSCertFile == "") != (c.AdminTLSKeyFile == "") {
		l.problem("--admin-tls-cert-file and --admin-tls-key-file: one is given without the other")
	}
	if c.AdminListen != "" && c.AdminTLSCertFile == "" && !c.AdminInsecure && !isLoopback(c.AdminListen) {
		l.problem("%s: beyond loopback, which needs --admin-tls-cert-file and --admin-tls-key-file, or --admin-insecure", l.where("admin-listen"))
	}
	c.checkCallers(l)
	for _, name := range []string{"audit-format", "audit-max-bytes", "audit-files", "audit-required"} {
		if c.AuditFile == "" && l.origins[name] != "" {
			l.problem("%s: has no effect without --audit-file", l.where(name))
		}
	}
	if c.AdminListen == c.Listen && !strings.HasSuffix(c.Listen, ":0") {
		l.problem("%s: the same as %s", l.where("admin-listen"), l.where("listen"))
	}
	weighed := make(map[string]bool, len(c.QuotaWeights))
	for _, w := range c.QuotaWeights {
		if weighed[w.Caller] {
			l.problem("%s: has %s twice", l.where("quota-weights"), show(w.Caller))
		}
		weighed[w.Caller] = true
	}
	if len(c.MetricsBuckets) > maxMetricsBuckets {
		l.problem("%s: more than %d", l.where("metrics-buckets"), maxMetricsBuckets)
	}
	for i := 1; i < len(c.MetricsBuckets); i++ {
		if c.MetricsBuckets[i] <= c.MetricsBuckets[i-1] {
			l.problem("%s: not in rising order", l.where("metrics-buckets"))
			break
		}
	}
	if c.MaxInFlightBytes < c.MaxResponseBytes/5*12 {
		// With less the largest body might never fit: a buffer is up to an eighth too large, there are
		// two while it grows, and a sixteenth is for small answers.
		l.problem("%s: less than 12/5 of %s, which one such body needs", l.where("max-in-flight-bytes"), l.where("max-response-bytes"))
	}
	if c.RetryBaseDelay > c.RetryMaxDelay {
		l.problem("%s: more than %s", l.where("retry-base-delay"), l.where("retry-max-delay"))
	}
}

// checkCallers reports settings of callers and their proofs that do not fit together.
func (c *Config) checkCallers(l *loader) {
	given := func(name string) bool { return l.origins[name] != "" }
	if given("tls-client-auth") && c.TLSClientCAFile == "" {
		l.problem("%s: has no effect without --tls-client-ca-file", l.where("tls-client-auth"))
	}
	if c.JWTIssuer == "" {
		for _, name := range []string{"jwt-audience", "jwt-jwks-file", "jwt-jwks-url", "jwt-jwks-ca-file", "jwt-jwks-token-file", "jwt-clock-skew"} {
			if given(name) {
				l.problem("%s: has no effect without --jwt-issuer", l.where(name))
			}
		}
		return
	}
	if len(c.JWTAudiences) == 0 {
		l.problem("%s: needs --jwt-audience, or the tokens for every other service would be accepted", l.where("jwt-issuer"))
	}
	switch {
	case c.JWTKeysFile == "" && c.JWTKeysURL == nil:
		l.problem("%s: needs --jwt-jwks-file or --jwt-jwks-url", l.where("jwt-issuer"))
	case c.JWTKeysFile != "" && c.JWTKeysURL != nil:
		l.problem("%s: set, and so is %s: one of them must go", l.where("jwt-jwks-file"), l.where("jwt-jwks-url"))
	case c.JWTKeysURL == nil && c.JWTKeysCAFile != "":
		l.problem("%s: has no effect without --jwt-jwks-url", l.where("jwt-jwks-ca-file"))
	case c.JWTKeysURL == nil && c.JWTKeysTokenFile != "":
		l.problem("%s: has no effect without --jwt-jwks-url", l.where("jwt-jwks-token-file"))
	}
}

// checkTarget reports settings of the upstream, its token and the sandbox that do not fit together.
func (c *Config) checkTarget(l *loader) {
	_, upstreamGiven := l.origins["upstream-url"]
	tokenGiven := c.APIToken != Secret{}
	switch {
	case c.Sandbox && upstreamGiven:
		l.problem("%s: cannot be combined with --sandbox", l.where("upstream-url"))
	case !c.Sandbox && (len(c.SandboxFaults) > 0 || l.origins["sandbox-seed"] != ""):
		l.problem("--sandbox-seed and --sandbox-fault: have no effect without --sandbox")
	}
	if c.OrganizationsFile != "" {
		c.checkOrganizations(l)
		return
	}
	switch {
	case c.Sandbox && tokenGiven:
		l.problem("environment %s: set, but --sandbox takes no token", TokenVariable)
	case c.Sandbox && c.APITokenFile != "":
		l.problem("%s: set, but --sandbox takes no token", l.where("api-token-file"))
	case c.Sandbox:
	case tokenGiven && c.APITokenFile != "":
		l.problem("%s: set, and so is %s: one of them must go", l.where("api-token-file"), TokenVariable)
	case !tokenGiven && c.APITokenFile == "":
		l.problem("no API token: set %s or --api-token-file, or try --sandbox", TokenVariable)
	}
}

// checkOrganizations reports settings that the file of organizations has for each of them.
func (c *Config) checkOrganizations(l *loader) {
	for _, name := range []string{"api-token-file", "upstream-url", "quota-organization", "quota-token-limit", "quota-organization-limit"} {
		if l.origins[name] != "" && (name != "upstream-url" || !c.Sandbox) { // With the sandbox it is reported already.
			l.problem("%s: set, and so is %s, which says it for each organization: one of them must go", l.where(name), l.where("organizations-file"))
		}
	}
	if (c.APIToken != Secret{}) {
		l.problem("environment %s: set, and so is %s, which says it for each organization: one of them must go", TokenVariable, l.where("organizations-file"))
	}
}
