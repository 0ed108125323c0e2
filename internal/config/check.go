package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
)

// check reports what does not fit together.
func (c *Config) check(l *loader) {
	switch {
	case (c.TLSCertFile == "") != (c.TLSKeyFile == ""):
		l.problem("--tls-cert-file and --tls-key-file: one is given without the other")
	case c.TLSCertFile != "":
		if _, err := tls.LoadX509KeyPair(c.TLSCertFile, c.TLSKeyFile); err != nil {
			l.problem("%s: %v", l.where("tls-cert-file"), err)
		}
	}
	if c.TLSClientCAFile != "" && c.TLSCertFile == "" {
		l.problem("%s: has no effect without --tls-cert-file and --tls-key-file", l.where("tls-client-ca-file"))
	} else if _, err := c.ClientCAs(); err != nil {
		l.problem("%s: %v", l.where("tls-client-ca-file"), err)
	}
	if c.TLSCertFile == "" && !c.Insecure && !isLoopback(c.Listen) {
		l.problem("%s: beyond loopback, which needs --tls-cert-file and --tls-key-file, or --insecure", l.where("listen"))
	}
	if c.AdminListen != "" && !c.Insecure && !isLoopback(c.AdminListen) {
		l.problem("%s: beyond loopback, and plaintext: needs --insecure", l.where("admin-listen"))
	}
	if c.MaxInFlightBytes < c.MaxResponseBytes/5*12 {
		// Else the largest body might never fit: a buffer is up to an eighth too large, while it grows
		// there are two, and a sixteenth is for small answers.
		l.problem("%s: less than 12/5 of %s, which one such body needs", l.where("max-in-flight-bytes"), l.where("max-response-bytes"))
	}
	if c.RetryBaseDelay > c.RetryMaxDelay {
		l.problem("%s: more than %s", l.where("retry-base-delay"), l.where("retry-max-delay"))
	}

	_, upstreamGiven := l.origins["upstream-url"]
	tokenGiven := c.APIToken != Secret{}
	switch {
	case c.Sandbox && upstreamGiven:
		l.problem("%s: cannot be combined with --sandbox", l.where("upstream-url"))
	case !c.Sandbox && (len(c.SandboxFaults) > 0 || l.origins["sandbox-seed"] != ""):
		l.problem("--sandbox-seed and --sandbox-fault: have no effect without --sandbox")
	}
	switch {
	case c.Sandbox && tokenGiven:
		l.problem("environment %s: set, but --sandbox takes no token", TokenVariable)
	case c.Sandbox && c.APITokenFile != "":
		l.problem("%s: set, but --sandbox takes no token", l.where("api-token-file"))
	case c.Sandbox:
	case tokenGiven && c.APITokenFile != "":
		l.problem("%s: set, and so is %s: one of them must go", l.where("api-token-file"), TokenVariable)
	case c.APITokenFile != "":
		if err := readable(c.APITokenFile); err != nil {
			l.problem("%s: %v", l.where("api-token-file"), err)
		}
	case !tokenGiven:
		l.problem("no API token: set %s or --api-token-file, or try --sandbox", TokenVariable)
	}
}

// ClientCAs returns the authorities of TLSClientCAFile, nil where there is none.
func (c *Config) ClientCAs() (*x509.CertPool, error) {
	if c.TLSClientCAFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.TLSClientCAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("holds no certificate in PEM")
	}
	return pool, nil
}

func readable(path string) error {
	f, err := os.Open(path) //nolint:gosec // The operator names the file.
	if err != nil {
		return err
	}
	return f.Close()
}
