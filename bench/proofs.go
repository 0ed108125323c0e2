package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/load"
	"samsara.internal/gateway/bench/internal/report"
)

// proofs are what callers prove themselves by to a gateway, and its flags.
type proofs struct {
	tokens map[report.Proof]string
	flags  []string
}

// measureProofs measures the gateway with each of the proofs, each time anew.
func (h *harness) measureProofs(ctx context.Context, round int) (err error) {
	s, err := h.open(ctx)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return err
	}
	if !slices.Contains(h.results.Servers, report.Gateway) {
		return nil
	}
	known, err := newProofs(s.folder)
	if err != nil {
		return err
	}
	admitted, err := s.admitted(report.Gateway)
	if err != nil {
		return err
	}
	order := report.AllProofs()
	if round%2 == 1 {
		slices.Reverse(order)
	}
	for _, proof := range order {
		sample, err := s.prove(ctx, proof, known, admitted)
		if err != nil {
			return fmt.Errorf("proof %q: %w", proof, err)
		}
		h.results.Proved[proof] = append(h.results.Proved[proof], sample)
	}
	return nil
}

// prove measures the gateway with callers that prove themselves in one way.
func (s *servers) prove(ctx context.Context, proof report.Proof, known proofs, flags []string) (sample load.Sample, err error) {
	body := declared(report.Sizes()[0])
	var options []grpc.DialOption
	if token := known.tokens[proof]; token != "" {
		flags = append(slices.Clone(flags), known.flags...)
		options = append(options, grpc.WithPerRPCCredentials(load.Bearer(token)))
	}
	p, err := s.gateway(ctx, report.Gateway, flags...)
	if err != nil {
		return sample, err
	}
	method, err := s.builds[report.Gateway].Unary(fleet.Stats)
	if err != nil {
		return sample, err
	}
	m, err := reflected(ctx, p, method, options...)
	if err != nil {
		return sample, err
	}
	all, err := requests(m, body, report.High)
	if err != nil {
		return sample, err
	}
	client, err := load.NewGRPC(p.address, m.Name, all, options...)
	if err != nil {
		return sample, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	sample, err = load.Measure(ctx, client, load.Plan{PID: p.pid(), Concurrency: report.High, CPU: s.cpu, Allocations: p.allocations})
	s.log.InfoContext(ctx, "measured", "proof", proof, "requests", sample.Requests, "cpu", sample.CPU, "allocations", sample.Allocs)
	return sample, err
}

// newProofs makes tokens, and the files by which a gateway checks them, in a folder.
func newProofs(folder string) (proofs, error) {
	const issuer, audience = "https://issuer.bench", "samsara-gateway"
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return proofs{}, err
	}
	keys := map[string]any{"keys": []any{map[string]string{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "bench",
		"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
	}}}
	jwks, err := json.Marshal(keys)
	if err != nil {
		return proofs{}, err
	}
	signed, err := sign(key, map[string]any{
		"iss": issuer, "aud": audience, "sub": "system:serviceaccount:bench:bench",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	})
	if err != nil {
		return proofs{}, err
	}
	static := "sgw_" + rand.Text()
	hash := sha256.Sum256([]byte(static))
	made := proofs{tokens: map[report.Proof]string{report.StaticToken: static, report.SignedToken: signed}}
	for _, file := range []struct{ flag, content string }{
		{"jwt-jwks-file", string(jwks)},
		{"caller-tokens-file", "bench: " + hex.EncodeToString(hash[:]) + "\n"},
		{"policy-file", benchPolicy()},
	} {
		path := filepath.Join(folder, file.flag)
		if err := os.WriteFile(path, []byte(file.content), 0o600); err != nil {
			return proofs{}, err
		}
		made.flags = append(made.flags, "--"+file.flag+"="+path)
	}
	made.flags = append(made.flags, "--jwt-issuer="+issuer, "--jwt-audience="+audience)
	return made, nil
}

// sign returns a JWT.
func sign(key *rsa.PrivateKey, claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"RS256","typ":"JWT","kid":"bench"}`)) + "." + encode(payload)
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	return text + "." + encode(signature), err
}

// benchPolicy returns a policy of 30 rules and limits of which the last ones hold for the callers.
func benchPolicy() string {
	var b strings.Builder
	b.WriteString("rules:\n")
	for i := range 28 {
		fmt.Fprintf(&b, "  - {name: writes-%d, identities: ['token:dispatch-%d', 'jwt:system:serviceaccount:dispatch-%d:*'], methods: [write], effect: allow}\n", i, i, i)
	}
	b.WriteString("  - {name: reads, identities: ['*'], methods: [read, stream, reflection], effect: allow}\n")
	b.WriteString("limits:\n  - {name: all, identities: ['*'], weight: 2}\n")
	return b.String()
}
