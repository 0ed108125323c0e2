package main

import (
	"crypto/x509"
	"errors"

	"samsara.internal/gateway/internal/authn"
	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/policy"
	"samsara.internal/gateway/internal/reload"
)

// onlyOrganization is the name of the organization if there is no file of organizations.
const onlyOrganization = "default"

// policyAPI returns what a policy is for that is read now.
func (f *files) policyAPI() *policy.API {
	if names := f.organizations.Load(); names != nil {
		return policy.NewAPI(f.endpoints, *names...)
	}
	return policy.NewAPI(f.endpoints, onlyOrganization)
}

// noteOrganizations sets which organizations there are.
func (f *files) noteOrganizations(names []string) { f.organizations.Store(&names) }

// authorities are the authorities of clients.
type authorities struct{ *reload.Value[certificates] }

// Get implements authn.Source.
func (a authorities) Get() *x509.CertPool { return a.Value.Get().authorities }

// openCallers reads the files that say who calls and who may do what.
func (f *files) openCallers(cfg *config.Config) (problems []config.Problem) {
	note := func(setting string, err error) {
		if err != nil {
			problems = append(problems, config.Problem{Setting: setting, Err: err})
		}
	}
	var proofs authn.Config
	if cfg.TLSClientCAFile != "" && f.certificates != nil {
		proofs.Authorities = authorities{f.certificates}
	}
	var err error
	if cfg.CallerTokensFile != "" {
		f.tokens, err = authn.NewTokensFile(cfg.CallerTokensFile)
		note("caller-tokens-file", err)
		proofs.Tokens = f.tokens
	}
	if cfg.JWTIssuer != "" {
		proofs.JWT = &authn.JWT{Issuer: cfg.JWTIssuer, Audiences: cfg.JWTAudiences, Skew: cfg.JWTClockSkew}
		if proofs.JWT.Keys, err = f.openKeys(cfg); err != nil {
			problems = append(problems, keysProblem(cfg, err))
		}
	}
	if proofs != (authn.Config{}) && len(problems) == 0 {
		f.callers = authn.New(proofs)
	}
	if cfg.PolicyFile != "" {
		f.policy, err = reload.New(reload.File[*policy.Policy]{
			Name: "policy", Paths: []string{cfg.PolicyFile}, MaxBytes: policy.MaxBytes,
			Parse: func(contents [][]byte) (*policy.Policy, error) { return policy.Parse(contents[0], f.policyAPI()) },
		})
		var bad *policy.Error
		if errors.As(err, &bad) {
			for _, problem := range bad.Problems {
				note("policy-file", errors.New(problem))
			}
			return problems
		}
		note("policy-file", err)
	}
	return problems
}

// openKeys returns the keys of the issuer, nil if no place is configured. Keys of a URL are fetched later.
func (f *files) openKeys(cfg *config.Config) (authn.Keys, error) {
	switch {
	case cfg.JWTKeysFile != "":
		var err error
		f.keys, err = authn.NewKeyFile(cfg.JWTKeysFile)
		return f.keys, err
	case cfg.JWTKeysURL != nil:
		from := authn.KeyURLConfig{URL: cfg.JWTKeysURL, TokenFile: cfg.JWTKeysTokenFile}
		if cfg.JWTKeysCAFile != "" {
			var err error
			if from.Authorities, err = readAuthorities(cfg.JWTKeysCAFile); err != nil {
				return nil, err
			}
		}
		f.keysURL = authn.NewKeyURL(from)
		return f.keysURL, nil
	default:
		return nil, errors.New("no keys are configured") // which config has reported already
	}
}

// keysProblem says which setting an error of openKeys is about.
func keysProblem(cfg *config.Config, err error) config.Problem {
	switch {
	case cfg.JWTKeysFile != "":
		return config.Problem{Setting: "jwt-jwks-file", Err: err}
	case cfg.JWTKeysURL != nil:
		return config.Problem{Setting: "jwt-jwks-ca-file", Err: err}
	default:
		return config.Problem{Setting: "jwt-issuer", Err: err}
	}
}

// states returns what became of looking at each file, and at the keys of a URL.
func (f *files) states(poller *reload.Poller) func() []reload.State {
	return func() []reload.State {
		states := poller.States()
		if f.keysURL != nil {
			states = append(states, f.keysURL.State())
		}
		return append(states, f.grants.states()...)
	}
}

// unheeded returns the names of settings that have changed in the configuration file without effect.
func (f *files) unheeded() []string {
	if f.settings == nil {
		return nil
	}
	return f.settings.unheeded()
}

// policyInUse returns the policy that holds now; nil: there is none.
func (f *files) policyInUse() func() *policy.Policy {
	if f.policy == nil {
		return nil
	}
	return f.policy.Get
}
