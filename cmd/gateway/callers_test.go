package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	tagsv1 "samsara.internal/gateway/gen/tags/v1"
	vehiclestatsv1 "samsara.internal/gateway/gen/vehicle_stats/v1"
)

const (
	testIssuer   = "https://issuer.test"
	testAudience = "samsara-gateway"
	testSubject  = "system:serviceaccount:billing:report"
)

// testAuthority issues certificates.
type testAuthority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newTestAuthority(t *testing.T) *testAuthority {
	t.Helper()
	a := &testAuthority{}
	a.cert, a.key, a.pem = a.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// issue makes a certificate, which is the authority's own if that has none. It is valid for an hour around now, unless
// the template says otherwise.
func (a *testAuthority) issue(t *testing.T, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		t.Fatal(err)
	}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signing := template, key
	if a.cert != nil {
		parent, signing = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signing)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// server returns a certificate for localhost and its key, as PEM.
func (a *testAuthority) server(t *testing.T) (cert, key string) {
	t.Helper()
	_, private, text := a.issue(t, &x509.Certificate{DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return text, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// client returns a certificate for a SPIFFE id.
func (a *testAuthority) client(t *testing.T, id string, from, to time.Duration) *tls.Certificate {
	t.Helper()
	uri, err := url.Parse(id)
	if err != nil {
		t.Fatal(err)
	}
	cert, key, _ := a.issue(t, &x509.Certificate{
		URIs: []*url.URL{uri}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to),
	})
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// testSigner signs tokens as an issuer does.
type testSigner struct {
	id  string
	key *ecdsa.PrivateKey
}

func newTestSigner(t *testing.T, id string) testSigner {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return testSigner{id, key}
}

// sign returns a token that is good, except for changes of its claims.
func (s testSigner) sign(t *testing.T, changes jwt.MapClaims) string {
	t.Helper()
	all := jwt.MapClaims{"iss": testIssuer, "aud": testAudience, "sub": testSubject, "exp": time.Now().Add(time.Hour).Unix()}
	for name, value := range changes {
		all[name] = value
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, all)
	token.Header["kid"] = s.id
	text, err := token.SignedString(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// keySet returns the public keys of signers as a JSON Web Key Set.
func keySet(t *testing.T, signers ...testSigner) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	var keys []map[string]string
	for _, s := range signers {
		point, err := s.key.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, map[string]string{
			"kty": "EC", "crv": "P-256", "kid": s.id, "use": "sig", "x": encode(point[1:33]), "y": encode(point[33:]),
		})
	}
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tokenLine returns the line of a static token.
func tokenLine(name, token string) string {
	hash := sha256.Sum256([]byte(token))
	return name + ": " + hex.EncodeToString(hash[:]) + "\n"
}

// countingUpstream is an upstream of tags that counts its requests.
func countingUpstream(t *testing.T) (address string, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	return serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"data":{"id":"1","name":"one"}}`)
	})), requests
}

// guardedFiles are the files of a gateway that knows its callers.
type guardedFiles struct {
	cert, key, ca, tokens, keys, policy string
}

const guardedPolicy = `
groups:
  known: ["certificate:spiffe://acme.test/billing", "jwt:system:serviceaccount:billing:*", "token:billing"]
rules:
  - {name: known reads, identities: ["group:known"], methods: [read, passthrough, reflection], effect: allow}
  - {name: no deletes, identities: ["*"], methods: ["samsara_gateway.tags.v1.TagsService/DeleteTag", "area:tags & stream"], effect: deny}
`

func newGuardedFiles(t *testing.T, servers, clients *testAuthority, tokens, keys string) guardedFiles {
	t.Helper()
	cert, key := servers.server(t)
	return guardedFiles{
		tokenFile(t, cert), tokenFile(t, key), tokenFile(t, clients.pem), tokenFile(t, tokens), tokenFile(t, keys), tokenFile(t, guardedPolicy),
	}
}

func (f guardedFiles) flags() []string {
	return []string{
		"--caller-tokens-file", f.tokens, "--jwt-issuer", testIssuer, "--jwt-audience", testAudience, "--jwt-jwks-file", f.keys,
		"--jwt-clock-skew=1s", "--policy-file", f.policy, "--passthrough", "--quota=false",
	}
}

func (f guardedFiles) tlsFlags(auth string) []string {
	return append(f.flags(), "--tls-cert-file", f.cert, "--tls-key-file", f.key, "--tls-client-ca-file", f.ca, "--tls-client-auth", auth)
}

// unknownMethod calls a method that is not served.
func unknownMethod(ctx context.Context, conn *grpc.ClientConn) error {
	return conn.Invoke(ctx, "/samsara_gateway.tags.v1.TagsService/NoSuchMethod", &emptypb.Empty{}, &emptypb.Empty{})
}

// TestCallers_matrix tries each proof, over each transport, on each kind of method, for an organization that the policy
// allows, one that it does not, and one that there is not. Samsara is asked for what is allowed, and for nothing else.
func TestCallers_matrix(t *testing.T) {
	t.Parallel()
	const id, static = "spiffe://acme.test/billing", "sgw_a-static-token-of-billing"
	servers, clients, strangers := newTestAuthority(t), newTestAuthority(t), newTestAuthority(t)
	signer, stranger := newTestSigner(t, "good"), newTestSigner(t, "good")
	unlisted, gone := newTestSigner(t, "gone"), "sgw_a-token-that-is-gone"
	files := newGuardedFiles(t, servers, clients, tokenLine("billing", static)+tokenLine("stranger", "sgw_token-of-a-stranger"), keySet(t, signer))
	hour := time.Hour

	type proof struct {
		name  string
		cert  *tls.Certificate
		token string
		// code and reason are of a call that the policy allows. A handshake that fails has no reason.
		code   codes.Code
		reason string
		// denied is of one that it does not, if that is not the same.
		denied string
	}
	proofs := []proof{
		{"none", nil, "", codes.Unauthenticated, "REQUEST_PROOF_MISSING", ""},
		{"jwt, right", nil, signer.sign(t, nil), codes.OK, "", "REQUEST_DENIED"},
		{"jwt, wrong signature", nil, stranger.sign(t, nil), codes.Unauthenticated, "REQUEST_PROOF_INVALID", ""},
		{"jwt, expired", nil, signer.sign(t, jwt.MapClaims{"exp": time.Now().Add(-time.Minute).Unix()}), codes.Unauthenticated, "REQUEST_PROOF_EXPIRED", ""},
		{"jwt, not yet valid", nil, signer.sign(t, jwt.MapClaims{"nbf": time.Now().Add(hour).Unix()}), codes.Unauthenticated, "REQUEST_PROOF_INVALID", ""},
		{"jwt, another audience", nil, signer.sign(t, jwt.MapClaims{"aud": "vault"}), codes.Unauthenticated, "REQUEST_PROOF_INVALID", ""},
		{"jwt, another issuer", nil, signer.sign(t, jwt.MapClaims{"iss": "https://evil.test"}), codes.Unauthenticated, "REQUEST_PROOF_INVALID", ""},
		{"jwt, key not in the set", nil, unlisted.sign(t, nil), codes.Unauthenticated, "REQUEST_PROOF_INVALID", ""},
		{"jwt, of nobody that the policy knows", nil, signer.sign(t, jwt.MapClaims{"sub": "system:serviceaccount:other:x"}), codes.PermissionDenied, "REQUEST_DENIED", ""},
		{"static, right", nil, static, codes.OK, "", "REQUEST_DENIED"},
		{"static, wrong", nil, static + "x", codes.Unauthenticated, "REQUEST_PROOF_INVALID", ""},
		{"static, not in the file", nil, gone, codes.Unauthenticated, "REQUEST_PROOF_INVALID", ""},
		{"static, of nobody that the policy knows", nil, "sgw_token-of-a-stranger", codes.PermissionDenied, "REQUEST_DENIED", ""},
		{"certificate, right", clients.client(t, id, -hour, hour), "", codes.OK, "", "REQUEST_DENIED"},
		{"certificate, of nobody that the policy knows", clients.client(t, "spiffe://acme.test/other", -hour, hour), "", codes.PermissionDenied, "REQUEST_DENIED", ""},
		{"certificate, expired", clients.client(t, id, -2*hour, -hour), "", codes.Unavailable, "", ""},
		{"certificate, not yet valid", clients.client(t, id, hour, 2*hour), "", codes.Unavailable, "", ""},
		{"certificate, another authority", strangers.client(t, id, -hour, hour), "", codes.Unavailable, "", ""},
		{"certificate and jwt, right", clients.client(t, "spiffe://acme.test/other", -hour, hour), signer.sign(t, nil), codes.OK, "", "REQUEST_DENIED"},
		{"certificate right, jwt wrong", clients.client(t, id, -hour, hour), stranger.sign(t, nil), codes.Unauthenticated, "REQUEST_PROOF_INVALID", ""},
	}
	methods := []struct {
		name    string
		call    func(ctx context.Context, conn *grpc.ClientConn) error
		allowed bool
		// open is whether the policy refuses the call only when its request is read, if at all.
		open bool
	}{
		{"allowed", func(ctx context.Context, conn *grpc.ClientConn) error {
			_, err := tagsv1.NewTagsServiceClient(conn).GetTag(ctx, &tagsv1.GetTagRequest{Id: proto.String("1")})
			return err
		}, true, true},
		{"allowed by passthrough", func(ctx context.Context, conn *grpc.ClientConn) error {
			_, err := apiv1.NewPassthroughServiceClient(conn).Call(ctx, &apiv1.CallRequest{Method: proto.String("GET"), Path: proto.String("/tags/1")})
			return err
		}, true, true},
		{"denied", func(ctx context.Context, conn *grpc.ClientConn) error {
			_, err := tagsv1.NewTagsServiceClient(conn).DeleteTag(ctx, &tagsv1.DeleteTagRequest{Id: proto.String("1")})
			return err
		}, false, false},
		{"denied by what passthrough reaches", func(ctx context.Context, conn *grpc.ClientConn) error {
			_, err := apiv1.NewPassthroughServiceClient(conn).Call(ctx, &apiv1.CallRequest{Method: proto.String("DELETE"), Path: proto.String("/tags/1")})
			return err
		}, false, true},
		{"allowed by no rule", func(ctx context.Context, conn *grpc.ClientConn) error {
			_, err := tagsv1.NewTagsServiceClient(conn).CreateTag(ctx, &tagsv1.CreateTagRequest{Name: proto.String("x")})
			return err
		}, false, false},
		{"denied stream", func(ctx context.Context, conn *grpc.ClientConn) error {
			stream, err := tagsv1.NewTagsServiceClient(conn).StreamTags(ctx, &tagsv1.StreamTagsRequest{})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		}, false, false},
	}
	acme, rival := startFleet(t, "acme"), startFleet(t, "rival")
	replace(t, files.policy, strings.Replace(guardedPolicy, "effect: allow", "organizations: [acme], effect: allow", 1))
	cells := 0
	for _, transport := range []struct {
		name  string
		flags []string
		tls   bool
		// must is whether a client must have a certificate.
		must bool
	}{{"plaintext", files.flags(), false, false}, {"TLS", files.tlsFlags("optional"), true, false}, {"mTLS", files.tlsFlags("require"), true, true}} {
		p, at, _ := startOrganizations(t, acme.entry()+rival.entry(), transport.flags...)
		for _, proof := range proofs {
			if proof.cert != nil && !transport.tls {
				continue
			}
			creds := insecure.NewCredentials()
			if transport.tls {
				pool := x509.NewCertPool()
				pool.AddCert(servers.cert)
				cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "localhost", RootCAs: pool}
				if proof.cert != nil {
					// Also one that the server has not asked for: its authority is not listed.
					cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return proof.cert, nil }
				}
				creds = credentials.NewTLS(cfg)
			}
			code, reason := proof.code, proof.reason
			if transport.must && proof.cert == nil {
				code, reason = codes.Unavailable, ""
			}
			conn := connect(t, at.GRPC, creds)
			authorized := func(organization string) context.Context {
				ctx := forOrganization(waiting(t), organization)
				if proof.token != "" {
					ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+proof.token)
				}
				return ctx
			}
			isKnown := code == codes.OK || code == codes.PermissionDenied
			for _, organization := range []string{acme.name, rival.name, "nobody"} {
				cell := transport.name + ", " + proof.name + ", " + organization
				for _, method := range methods {
					cells++
					before := acme.requests.Load()
					got := verdictOf(method.call(authorized(organization), conn))
					wantCode, wantReason, wantRequests := code, reason, int64(0)
					switch {
					case code == codes.OK && method.open && organization == "nobody":
						wantCode, wantReason = codes.InvalidArgument, "REQUEST_INVALID_ARGUMENT"
					case code == codes.OK && method.allowed && organization == acme.name:
						wantRequests = 1
					case code == codes.OK:
						wantCode, wantReason = codes.PermissionDenied, proof.denied
					}
					if asked := acme.requests.Load() - before; got.code != wantCode || got.reason != wantReason || asked != wantRequests {
						t.Errorf("%s, %s: got %v/%s %q and %d requests, want %v/%s and %d", cell, method.name,
							got.code, got.reason, got.text, asked, wantCode, wantReason, wantRequests)
					}
					for _, secret := range []string{static, gone, proof.token} {
						if secret != "" && strings.Contains(got.text, secret) {
							t.Errorf("%s: the error shows a token", cell)
						}
					}
				}
				cells += 2
				wantCode, wantReason := code, reason
				if isKnown {
					wantCode, wantReason = codes.Unimplemented, "REQUEST_METHOD_UNKNOWN"
				}
				if got := verdictOf(unknownMethod(authorized(organization), conn)); got.code != wantCode || got.reason != wantReason {
					t.Errorf("%s, unknown method: got %v/%s %q, want %v/%s", cell, got.code, got.reason, got.text, wantCode, wantReason)
				}
				wantCode = codes.OK
				if code == codes.Unavailable {
					wantCode = code
				}
				if _, err := healthv1.NewHealthClient(conn).Check(authorized(organization), &healthv1.HealthCheckRequest{}); status.Code(err) != wantCode {
					t.Errorf("%s: health: got %v, want %v", cell, err, wantCode)
				}
			}
		}
		p.stop(t)
		_, text, _ := p.log()
		for _, secret := range []string{static, gone, proofs[1].token} {
			if strings.Contains(text, secret) {
				t.Errorf("%s: the log has a token", transport.name)
			}
		}
	}
	if n := rival.requests.Load() + rival.foreign.Load() + acme.foreign.Load(); n > 0 {
		t.Errorf("%d requests to the other organization or with its token, want 0", n)
	}
	t.Logf("%d cells", cells)
}

// TestCallers_revokedOnAnOpenConnection takes away what callers have proved themselves by, while their connections and
// streams are open, and gives it back.
func TestCallers_revokedOnAnOpenConnection(t *testing.T) {
	t.Parallel()
	const static = "sgw_a-static-token-of-billing"
	servers, clients, others := newTestAuthority(t), newTestAuthority(t), newTestAuthority(t)
	signer, other := newTestSigner(t, "good"), newTestSigner(t, "other")
	files := newGuardedFiles(t, servers, clients, tokenLine("billing", static), keySet(t, signer))
	address, requests := countingUpstream(t)
	p := start(t, append(flagsAt("http://"+address, tokenFile(t, "token")), files.tlsFlags("optional")...)...)
	at := p.await(t, "serving")
	pool := x509.NewCertPool()
	pool.AddCert(servers.cert)
	for name, test := range map[string]struct {
		cert      *tls.Certificate
		token     string
		file      string
		good, bad string
	}{
		"authority":    {clients.client(t, "spiffe://acme.test/billing", -time.Hour, time.Hour), "", files.ca, clients.pem, others.pem},
		"key":          {nil, signer.sign(t, nil), files.keys, keySet(t, signer), keySet(t, other)},
		"static token": {nil, static, files.tokens, tokenLine("billing", static), tokenLine("billing", static+"2")},
		"permission":   {nil, signer.sign(t, jwt.MapClaims{"sub": "system:serviceaccount:billing:other"}), files.policy, guardedPolicy, strings.ReplaceAll(guardedPolicy, ":billing:*", ":nobody:*")},
	} {
		cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "localhost", RootCAs: pool}
		if test.cert != nil {
			cfg.Certificates = []tls.Certificate{*test.cert}
		}
		conn := connect(t, at.GRPC, credentials.NewTLS(cfg))
		authorized := func(ctx context.Context) context.Context {
			if test.token != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+test.token)
			}
			return ctx
		}
		call := func() verdict {
			_, err := tagsv1.NewTagsServiceClient(conn).GetTag(authorized(waiting(t)), &tagsv1.GetTagRequest{Id: proto.String("1")})
			return verdictOf(err)
		}
		if got := call(); got.code != codes.OK {
			t.Fatalf("%s: %v", name, got)
		}
		want, reason := codes.Unauthenticated, "REQUEST_PROOF_INVALID"
		if name == "permission" {
			want, reason = codes.PermissionDenied, "REQUEST_DENIED"
		}
		replace(t, test.file, test.bad)
		p.signal(t, syscall.SIGHUP)
		var got verdict
		eventually(t, name+": calls are refused", func() bool { got = call(); return got.code != codes.OK })
		before := requests.Load()
		if got = call(); got.code != want || got.reason != reason || requests.Load() != before {
			t.Errorf("%s: got %v and %d requests, want %v/%s and none", name, got, requests.Load()-before, want, reason)
		}
		replace(t, test.file, test.good)
		p.signal(t, syscall.SIGHUP)
		eventually(t, name+": calls are made again", func() bool { return call().code == codes.OK })
	}
	p.stop(t)
}

// TestCallers_streamEnds has streams whose callers lose their permission and their proof.
func TestCallers_streamEnds(t *testing.T) {
	t.Parallel()
	signer := newTestSigner(t, "good")
	policyFile, keys := tokenFile(t, guardedPolicy), tokenFile(t, keySet(t, signer))
	p, at := startSandboxed(t, "--jwt-issuer", testIssuer, "--jwt-audience", testAudience, "--jwt-jwks-file", keys, "--jwt-clock-skew=0s", "--policy-file", policyFile)
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	for _, test := range []struct {
		name   string
		token  string
		end    func()
		code   codes.Code
		reason string
	}{
		{"its token expires", signer.sign(t, jwt.MapClaims{"exp": time.Now().Add(5 * time.Second).Unix()}), func() {}, codes.Unauthenticated, "REQUEST_PROOF_EXPIRED"},
		{"its permission is taken away", signer.sign(t, nil), func() {
			replace(t, policyFile, strings.ReplaceAll(guardedPolicy, ":billing:*", ":nobody:*"))
			p.signal(t, syscall.SIGHUP)
		}, codes.PermissionDenied, "REQUEST_DENIED"},
	} {
		ctx := metadata.AppendToOutgoingContext(waiting(t), "authorization", "Bearer "+test.token)
		stream, err := vehiclestatsv1.NewVehicleStatsServiceClient(conn).FollowVehicleStats(ctx,
			&vehiclestatsv1.FollowVehicleStatsRequest{Request: &vehiclestatsv1.ListVehicleStatsFeedRequest{Types: []string{"gps"}}})
		if err == nil {
			_, err = stream.Recv()
		}
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		test.end()
		for err == nil {
			_, err = stream.Recv()
		}
		cursor := stream.Trailer().Get("samsara-cursor")
		if got := verdictOf(err); got.code != test.code || got.reason != test.reason || len(cursor) != 1 || cursor[0] == "" {
			t.Errorf("%s: the stream ends with %v and cursor %q, want %v/%s and a cursor", test.name, got, cursor, test.code, test.reason)
		}
	}
	p.stop(t)
}

// TestCallers_nameOfThemselves has callers that say who they are, beside what they prove.
func TestCallers_nameOfThemselves(t *testing.T) {
	t.Parallel()
	const static = "sgw_a-static-token-of-billing"
	tokens := tokenFile(t, tokenLine("billing", static))
	p, at := startSandboxed(t, "--caller-tokens-file", tokens)
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	for says, want := range map[string]codes.Code{
		"billing": codes.OK, "billing/report": codes.OK, "dispatch": codes.InvalidArgument, "billings": codes.InvalidArgument, "billing/": codes.InvalidArgument,
	} {
		ctx := metadata.AppendToOutgoingContext(waiting(t), "authorization", "Bearer "+static, "samsara-caller", says)
		err := getContact(conn)(ctx, 0)
		got := verdictOf(err)
		if got.code == codes.NotFound {
			got.code = codes.OK // The call was made.
		}
		if got.code != want {
			t.Errorf("samsara-caller %q: got %v, want %v", says, got, want)
		}
		if want == codes.InvalidArgument && !strings.Contains(got.text, `samsara-caller: is "`+says+`", must be "billing" or a part of it, such as "billing/report"`) {
			t.Errorf("samsara-caller %q: got %q", says, got.text)
		}
	}
	if got := verdictOf(getContact(conn)(waiting(t), 0)); got.code != codes.Unauthenticated || got.reason != "REQUEST_PROOF_MISSING" {
		t.Errorf("without a policy, and without a proof: got %v, want Unauthenticated/REQUEST_PROOF_MISSING", got)
	}
	p.stop(t)
	if _, text, _ := p.log(); !strings.Contains(text, `"caller":"billing"`) || !strings.Contains(text, `"reason":"REQUEST_INVALID_ARGUMENT"`) {
		t.Error("the log does not say who called, or the reason")
	}
}

// TestPolicyCheck_commands runs gateway token and gateway policy check.
func TestPolicyCheck_commands(t *testing.T) {
	t.Parallel()
	out, err := output(t, "gateway", "token", "billing")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(out)
	if len(fields) != 5 || fields[0] != "token" || tokenLine("billing", fields[1]) != fields[3]+" "+fields[4]+"\n" {
		t.Errorf("gateway token printed %q", out)
	}
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(guardedPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"policy", "check", file}, "no deletes   deny    2        yes"},
		{[]string{"policy", "check", "--who", "token:billing", "--method", "samsara_gateway.tags.v1.TagsService/GetTag", file}, "samsara_gateway.tags.v1.TagsService/GetTag  yes  known reads  -"},
		{[]string{"policy", "check", "--who", "anonymous", "--method", "samsara_gateway.tags.v1.TagsService/GetTag", "--json", file}, `"allowed": false`},
	} {
		if out, err := output(t, "gateway", test.args...); err != nil || !strings.Contains(out, test.want) {
			t.Errorf("%v: got %v\n%s\nwant %q", test.args, err, out, test.want)
		}
	}
	if err := os.WriteFile(file, []byte("rules: [{name: a, identities: [x], methods: [y], effect: z}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := output(t, "gateway", "policy", "check", file); err == nil || strings.Count(out, "rule \"a\"") != 3 {
		t.Errorf("a bad policy: got %v\n%s\nwant 3 problems", err, out)
	}
}

// TestCallers_badFiles has files of callers that become bad: the last good ones stay in use, and /readyz says so.
func TestCallers_badFiles(t *testing.T) {
	t.Parallel()
	const static = "sgw_a-static-token-of-billing"
	servers := newTestAuthority(t)
	files := newGuardedFiles(t, servers, servers, tokenLine("billing", static), keySet(t, newTestSigner(t, "k")))
	p, at := startSandboxed(t, files.flags()...)
	conn := connect(t, at.GRPC, insecure.NewCredentials())
	call := func() verdict {
		ctx := metadata.AppendToOutgoingContext(waiting(t), "authorization", "Bearer "+static)
		_, err := tagsv1.NewTagsServiceClient(conn).ListTags(ctx, &tagsv1.ListTagsRequest{})
		return verdictOf(err)
	}
	for _, test := range []struct{ name, path, bad, says string }{
		{"caller-tokens", files.tokens, "billing: secret", "file caller-tokens: the last good one is in use"},
		{"jwt-keys", files.keys, "{", "file jwt-keys: the last good one is in use"},
		{"policy", files.policy, "rules: [{name: a, identities: [x], methods: [y], effect: z}]", `line 1: rule "a": effect: is "z", must be allow or deny; and 2 more: see gateway policy check`},
	} {
		good := content(t, test.path)
		replace(t, test.path, test.bad)
		p.signal(t, syscall.SIGHUP)
		eventually(t, test.name+" is bad", func() bool {
			_, body := get(t, "http://"+at.Admin+"/readyz", "")
			return strings.Contains(body, test.says)
		})
		status, body := get(t, "http://"+at.Admin+"/readyz", "")
		if status != http.StatusOK || strings.Contains(body, "secret") {
			t.Errorf("%s: /readyz answers %d\n%s", test.name, status, body)
		}
		if got := call(); got.code != codes.OK {
			t.Errorf("%s: %v", test.name, got)
		}
		replace(t, test.path, good)
		p.signal(t, syscall.SIGHUP)
		eventually(t, test.name+" is good again", func() bool {
			_, body := get(t, "http://"+at.Admin+"/readyz", "")
			return !strings.Contains(body, test.name)
		})
	}
	p.stop(t)
	if _, text, _ := p.log(); strings.Contains(text, "secret") {
		t.Error("the log has what may be a token")
	}
}
