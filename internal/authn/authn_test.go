package authn_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/authn"
	"samsara.internal/gateway/internal/identity"
)

const (
	issuer   = "https://issuer.test"
	audience = "samsara-gateway"
	subject  = "system:serviceaccount:billing:report"
)

// source is a value that a test changes.
type source[T any] struct {
	value   atomic.Pointer[T]
	version atomic.Uint64
}

func sourceOf[T any](value T) *source[T] {
	s := &source[T]{}
	s.set(value)
	return s
}

func (s *source[T]) set(value T)     { s.value.Store(&value); s.version.Add(1) }
func (s *source[T]) Get() T          { return *s.value.Load() }
func (s *source[T]) Version() uint64 { return s.version.Load() }

// keys are Keys that a test changes.
type keys struct{ *source[*authn.KeySet] }

func (k keys) Again(context.Context) *authn.KeySet { return k.Get() }

// signer signs tokens.
type signer struct {
	id     string
	method jwt.SigningMethod
	key    any
}

func newSigner(tb testing.TB, id string) signer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return signer{id, jwt.SigningMethodES256, key}
}

// claims are the claims of a good token, with changes.
func claims(changes jwt.MapClaims) jwt.MapClaims {
	now := time.Now()
	all := jwt.MapClaims{"iss": issuer, "aud": []string{"other", audience}, "sub": subject, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	for name, value := range changes {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	return all
}

func (s signer) sign(tb testing.TB, c jwt.MapClaims) string {
	tb.Helper()
	return s.signWith(tb, c, nil)
}

// signWith returns a token with further headers.
func (s signer) signWith(tb testing.TB, c jwt.MapClaims, headers map[string]any) string {
	tb.Helper()
	token := jwt.NewWithClaims(s.method, c)
	maps.Copy(token.Header, headers)
	if s.id != "" {
		token.Header["kid"] = s.id
	}
	text, err := token.SignedString(s.key)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// jwk returns the public key as a member of a JSON Web Key Set.
func (s signer) jwk() map[string]string {
	encode := base64.RawURLEncoding.EncodeToString
	of := map[string]string{"kid": s.id, "use": "sig", "alg": s.method.Alg()}
	switch key := s.key.(type) {
	case *ecdsa.PrivateKey:
		of["kty"], of["crv"] = "EC", "P-256"
		of["x"], of["y"] = encode(key.X.FillBytes(make([]byte, 32))), encode(key.Y.FillBytes(make([]byte, 32)))
	case *rsa.PrivateKey:
		of["kty"], of["n"], of["e"] = "RSA", encode(key.N.Bytes()), encode(big.NewInt(int64(key.E)).Bytes())
	case ed25519.PrivateKey:
		public, _ := key.Public().(ed25519.PublicKey)
		of["kty"], of["crv"], of["x"] = "OKP", "Ed25519", encode(public)
	}
	return of
}

func setJSON(tb testing.TB, all ...signer) []byte {
	tb.Helper()
	var list []map[string]string
	for _, s := range all {
		list = append(list, s.jwk())
	}
	text, err := json.Marshal(map[string]any{"keys": list})
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func setOf(tb testing.TB, all ...signer) *authn.KeySet {
	tb.Helper()
	set, err := authn.ParseKeySet(setJSON(tb, all...))
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

func jwtBy(set *source[*authn.KeySet]) *authn.JWT {
	return &authn.JWT{Issuer: issuer, Audiences: []string{"unused", audience}, Skew: 30 * time.Second, Keys: keys{set}}
}

// want checks an error's reason and what its text has.
func want(t *testing.T, err error, reason apiv1.Reason, text string) {
	t.Helper()
	var refused *authn.Error
	if !errors.As(err, &refused) || refused.Reason != reason || !strings.Contains(refused.Text, text) {
		t.Errorf("got %v, want %v with %q", err, reason, text)
	}
}

const (
	proofInvalid = apiv1.Reason_REASON_REQUEST_PROOF_INVALID
	proofExpired = apiv1.Reason_REASON_REQUEST_PROOF_EXPIRED
)

func TestAuthenticate_signedTokens(t *testing.T) {
	t.Parallel()
	good, other, twice := newSigner(t, "good"), newSigner(t, "other"), newSigner(t, "twice")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	byRSA, byPSS, byEd := signer{"rsa", jwt.SigningMethodRS256, rsaKey}, signer{"pss", jwt.SigningMethodPS384, rsaKey}, signer{"ed", jwt.SigningMethodEdDSA, edKey}
	a := authn.New(authn.Config{JWT: jwtBy(sourceOf(setOf(t, good, byRSA, byPSS, byEd, newSigner(t, "twice"), twice)))})
	public, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for name, test := range map[string]struct {
		token  string
		reason apiv1.Reason
		text   string
	}{
		"ES256":                     {good.sign(t, claims(nil)), 0, ""},
		"RS256":                     {byRSA.sign(t, claims(nil)), 0, ""},
		"PS384":                     {byPSS.sign(t, claims(nil)), 0, ""},
		"EdDSA":                     {byEd.sign(t, claims(nil)), 0, ""},
		"an id of two keys":         {twice.sign(t, claims(nil)), 0, ""},
		"an id of two others":       {signer{"twice", jwt.SigningMethodES256, other.key}.sign(t, claims(nil)), proofInvalid, "its signature is wrong"},
		"a header crit":             {good.signWith(t, claims(nil), map[string]any{"crit": []string{"x"}, "x": 1}), proofInvalid, "its header crit"},
		"one audience as a text":    {good.sign(t, claims(jwt.MapClaims{"aud": audience})), 0, ""},
		"expired within the skew":   {good.sign(t, claims(jwt.MapClaims{"exp": now.Add(-10 * time.Second).Unix()})), 0, ""},
		"expired":                   {good.sign(t, claims(jwt.MapClaims{"exp": now.Add(-time.Minute).Unix()})), proofExpired, "has expired at"},
		"no exp":                    {good.sign(t, claims(jwt.MapClaims{"exp": nil})), proofInvalid, "must have iss, aud, exp and sub"},
		"not valid yet":             {good.sign(t, claims(jwt.MapClaims{"nbf": now.Add(time.Minute).Unix()})), proofInvalid, "is not valid yet"},
		"another audience":          {good.sign(t, claims(jwt.MapClaims{"aud": "vault"})), proofInvalid, `its aud is "vault", must have "unused or samsara-gateway"`},
		"no audience":               {good.sign(t, claims(jwt.MapClaims{"aud": nil})), proofInvalid, "must have iss, aud, exp and sub"},
		"another issuer":            {good.sign(t, claims(jwt.MapClaims{"iss": "https://evil.test"})), proofInvalid, `its iss is "https://evil.test", must be "https://issuer.test"`},
		"no issuer":                 {good.sign(t, claims(jwt.MapClaims{"iss": nil})), proofInvalid, "must have iss, aud, exp and sub"},
		"no subject":                {good.sign(t, claims(jwt.MapClaims{"sub": nil})), proofInvalid, "its sub has 0 bytes, must have 1 to 256"},
		"a subject with a space":    {good.sign(t, claims(jwt.MapClaims{"sub": "a b"})), proofInvalid, "its sub must be printable ASCII without spaces"},
		"a subject that is long":    {good.sign(t, claims(jwt.MapClaims{"sub": strings.Repeat("s", 257)})), proofInvalid, "its sub has 257 bytes"},
		"an unknown key":            {other.sign(t, claims(nil)), proofInvalid, "signed by a key that its issuer does not have"},
		"a wrong signature":         {signer{"good", jwt.SigningMethodES256, other.key}.sign(t, claims(nil)), proofInvalid, "its signature is wrong"},
		"another algorithm":         {signer{"rsa", jwt.SigningMethodRS512, rsaKey}.sign(t, claims(nil)), proofInvalid, "has for something else"},
		"HS256 with the public key": {signer{"rsa", jwt.SigningMethodHS256, public}.sign(t, claims(nil)), proofInvalid, "not of an accepted kind"},
		"no algorithm":              {signer{"good", jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType}.sign(t, claims(nil)), proofInvalid, "not of an accepted kind"},
		"no id among several keys":  {signer{"", jwt.SigningMethodES256, good.key}.sign(t, claims(nil)), proofInvalid, "does not have"},
		"garbage":                   {"a.b.c", proofInvalid, "is no JWT"},
		"no JWT":                    {"abc", proofInvalid, "is no JWT"},
		"too long":                  {strings.Repeat("x", 8<<10+1), proofInvalid, "has 8193 bytes, must have at most 8192"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, scheme := range []string{"Bearer ", "bearer "} { // The second one is answered from what was kept.
				got, err := a.Authenticate(t.Context(), authn.NewPeer(nil), []string{scheme + test.token})
				if test.reason != 0 {
					want(t, err, test.reason, test.text)
					if got != (authn.Identity{}) {
						t.Errorf("got %+v beside the error", got)
					}
					continue
				}
				if err != nil || got.Principal != (identity.Principal{Means: identity.JWT, Name: subject}) {
					t.Errorf("got %+v, %v, want %s", got, err, subject)
				}
			}
		})
	}
}

func TestAuthenticate_malformedMetadata(t *testing.T) {
	t.Parallel()
	a := authn.New(authn.Config{JWT: jwtBy(sourceOf(setOf(t, newSigner(t, "k"))))})
	for value, text := range map[string]string{
		"":                  "must be Bearer and a token",
		"Bearer":            "must be Bearer and a token",
		"Basic dXNlcjpw":    "must be Bearer and a token",
		"Bearer ":           "must be printable ASCII",
		"Bearer a b":        "must be printable ASCII",
		"Bearer \u00e4.b.c": "must be printable ASCII",
	} {
		_, err := a.Authenticate(t.Context(), authn.NewPeer(nil), []string{value})
		want(t, err, proofInvalid, text)
	}
	_, err := a.Authenticate(t.Context(), authn.NewPeer(nil), []string{"Bearer a", "Bearer b"})
	want(t, err, proofInvalid, "has 2 values, must have one")
}

func TestAuthenticate_keyRemoved(t *testing.T) {
	t.Parallel()
	first, second := newSigner(t, "first"), newSigner(t, "second")
	set := sourceOf(setOf(t, first))
	a := authn.New(authn.Config{JWT: jwtBy(set)})
	token := []string{"Bearer " + first.sign(t, claims(nil))}
	before := a.Revision()
	if _, err := a.Authenticate(t.Context(), authn.NewPeer(nil), token); err != nil {
		t.Fatal(err)
	}
	set.set(setOf(t, second))
	if a.Revision() == before {
		t.Error("the revision has not changed with the keys")
	}
	_, err := a.Authenticate(t.Context(), authn.NewPeer(nil), token)
	want(t, err, proofInvalid, "does not have")
	set.set(nil)
	_, err = a.Authenticate(t.Context(), authn.NewPeer(nil), token)
	want(t, err, apiv1.Reason_REASON_GATEWAY_KEYS, "could not be had")
}

func TestAuthenticate_tokenExpiresWhileKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, "k")
		a := authn.New(authn.Config{JWT: jwtBy(sourceOf(setOf(t, s)))})
		token := []string{"Bearer " + s.sign(t, claims(jwt.MapClaims{"exp": time.Now().Add(10 * time.Second).Unix()}))}
		got, err := a.Authenticate(t.Context(), authn.NewPeer(nil), token)
		if err != nil || !got.Expires.Equal(time.Now().Add(40*time.Second)) {
			t.Fatalf("got %+v, %v, want it to expire 30 s after exp", got, err)
		}
		time.Sleep(39 * time.Second) //nolint:forbidigo // virtual
		if _, err := a.Authenticate(t.Context(), authn.NewPeer(nil), token); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second) //nolint:forbidigo // virtual
		_, err = a.Authenticate(t.Context(), authn.NewPeer(nil), token)
		want(t, err, proofExpired, "has expired at")
	})
}

func tokensOf(t *testing.T, text string) *authn.Tokens {
	t.Helper()
	tokens, err := authn.ParseTokens([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestAuthenticate_staticTokens(t *testing.T) {
	t.Parallel()
	first, line, err := authn.NewToken("billing")
	if err != nil || !strings.HasPrefix(first, "sgw_") || len(first) < 26 {
		t.Fatal(first, err)
	}
	second, next, err := authn.NewToken("billing")
	if err != nil {
		t.Fatal(err)
	}
	tokens := sourceOf(tokensOf(t, "# callers\n\n"+line+" # the old one\n"+next+"\n"))
	a := authn.New(authn.Config{Tokens: tokens})
	billing := authn.Identity{Principal: identity.Principal{Means: identity.Token, Name: "billing"}}
	for _, token := range []string{first, second} {
		if got, err := a.Authenticate(t.Context(), authn.NewPeer(nil), []string{"Bearer " + token}); err != nil || got != billing {
			t.Errorf("got %+v, %v, want billing", got, err)
		}
	}
	_, err = a.Authenticate(t.Context(), authn.NewPeer(nil), []string{"Bearer " + first + "x"})
	want(t, err, proofInvalid, "is not known")
	tokens.set(tokensOf(t, next))
	_, err = a.Authenticate(t.Context(), authn.NewPeer(nil), []string{"Bearer " + first})
	want(t, err, proofInvalid, "is not known")
	if got, err := a.Authenticate(t.Context(), authn.NewPeer(nil), nil); err != nil || got != (authn.Identity{}) {
		t.Errorf("without a proof: got %+v, %v, want nobody", got, err)
	}
}

func TestParseTokens_refused(t *testing.T) {
	t.Parallel()
	hash := strings.Repeat("ab", 32)
	for text, wanted := range map[string]string{
		"":                                    "has no token, must have one",
		"# nothing":                           "has no token, must have one",
		"billing":                             "line 1: must be a name, a colon and a SHA-256",
		"\nbilling: secret":                   "line 2: the SHA-256 of billing must have 64 hexadecimal digits",
		": " + hash:                           "line 1: the name has 0 bytes, must have 1 to 64",
		"a b: " + hash:                        "line 1: the name must be of letters, digits and -._@",
		"a/b: " + hash:                        "line 1: the name must be of letters, digits and -._@",
		"a*: " + hash:                         "line 1: the name must be of letters, digits and -._@",
		strings.Repeat("a", 65) + ": " + hash: "line 1: the name has 65 bytes, must have 1 to 64",
		"a: " + hash + "\nb: " + hash:         "line 2: b has the token of a",
		"a: " + hash + "\na: " + hash[:63] + "g\n": "line 2: the SHA-256 of a must have 64 hexadecimal digits",
	} {
		_, err := authn.ParseTokens([]byte(text))
		if err == nil || err.Error() != wanted {
			t.Errorf("%q: got %v, want %q", text, err, wanted)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), hash)) {
			t.Errorf("%q: the error shows what may be a token: %v", text, err)
		}
	}
}

// authority is a certificate authority of clients.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newAuthority returns one that outlives what it signs.
func newAuthority(t *testing.T) authority {
	t.Helper()
	return issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * time.Hour),
	}, nil)
}

// issue makes a certificate, self-signed if by is nil, valid for an hour around now unless the template says.
func issue(t *testing.T, template *x509.Certificate, by *authority) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signing := template, key
	if by != nil {
		parent, signing = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signing)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key}
}

func pool(all ...authority) *x509.CertPool {
	p := x509.NewCertPool()
	for _, a := range all {
		p.AddCert(a.cert)
	}
	return p
}

func TestAuthenticate_certificates(t *testing.T) {
	t.Parallel()
	trusted, other := newAuthority(t), newAuthority(t)
	spiffe := &url.URL{Scheme: "spiffe", Host: "acme.test", Path: "/billing"}
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	now := time.Now()
	for name, test := range map[string]struct {
		template *x509.Certificate
		by       authority
		name     string
		reason   apiv1.Reason
		text     string
	}{
		"a URI":              {&x509.Certificate{URIs: []*url.URL{spiffe}, DNSNames: []string{"b.test"}, Subject: pkix.Name{CommonName: "c"}, ExtKeyUsage: client}, trusted, "spiffe://acme.test/billing", 0, ""},
		"a DNS name":         {&x509.Certificate{DNSNames: []string{"b.test", "c.test"}, Subject: pkix.Name{CommonName: "c"}, ExtKeyUsage: client}, trusted, "b.test", 0, ""},
		"a common name":      {&x509.Certificate{Subject: pkix.Name{CommonName: "c"}, ExtKeyUsage: client}, trusted, "c", 0, ""},
		"no name":            {&x509.Certificate{ExtKeyUsage: client}, trusted, "", proofInvalid, "has 0 bytes"},
		"a name with spaces": {&x509.Certificate{Subject: pkix.Name{CommonName: "Billing Service"}, ExtKeyUsage: client}, trusted, "", proofInvalid, "must be printable ASCII without spaces"},
		"another authority":  {&x509.Certificate{Subject: pkix.Name{CommonName: "c"}, ExtKeyUsage: client}, other, "", proofInvalid, "is of no authority that is trusted now"},
		"a server's":         {&x509.Certificate{Subject: pkix.Name{CommonName: "c"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, trusted, "", proofInvalid, "is of no authority"},
		"expired":            {&x509.Certificate{Subject: pkix.Name{CommonName: "c"}, NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour), ExtKeyUsage: client}, trusted, "", proofExpired, "client certificate: has expired at"},
		"not valid yet":      {&x509.Certificate{Subject: pkix.Name{CommonName: "c"}, NotBefore: now.Add(time.Hour), NotAfter: now.Add(2 * time.Hour), ExtKeyUsage: client}, trusted, "", proofInvalid, "is not valid before"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := authn.New(authn.Config{Authorities: sourceOf(pool(trusted))})
			leaf := issue(t, test.template, &test.by)
			peer := authn.NewPeer(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf.cert}})
			got, err := a.Authenticate(t.Context(), peer, nil)
			if test.reason != 0 {
				want(t, err, test.reason, test.text)
				return
			}
			if err != nil || got.Principal != (identity.Principal{Means: identity.Certificate, Name: test.name}) || !got.Expires.Equal(leaf.cert.NotAfter) {
				t.Errorf("got %+v, %v, want %s until %v", got, err, test.name, leaf.cert.NotAfter)
			}
		})
	}
}

// TestAuthenticate_openConnection has a connection whose certificate was good at its handshake.
func TestAuthenticate_openConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		trusted, other := newAuthority(t), newAuthority(t)
		authorities := sourceOf(pool(trusted))
		s := newSigner(t, "k")
		a := authn.New(authn.Config{Authorities: authorities, JWT: jwtBy(sourceOf(setOf(t, s)))})
		leaf := issue(t, &x509.Certificate{
			Subject: pkix.Name{CommonName: "c"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Minute).Truncate(time.Second),
		}, &trusted)
		peer := authn.NewPeer(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf.cert}})
		token := []string{"Bearer " + s.sign(t, claims(nil))}
		if got, err := a.Authenticate(t.Context(), peer, nil); err != nil || got.Principal.Name != "c" {
			t.Errorf("got %+v, %v, want c", got, err)
		}
		if got, err := a.Authenticate(t.Context(), peer, token); err != nil || got.Principal.Name != subject {
			t.Errorf("with a token too: got %+v, %v, want %s", got, err, subject)
		}
		authorities.set(pool(other))
		for _, authorization := range [][]string{nil, token} {
			_, err := a.Authenticate(t.Context(), peer, authorization)
			want(t, err, proofInvalid, "is of no authority that is trusted now")
		}
		authorities.set(pool(other, trusted))
		if _, err := a.Authenticate(t.Context(), peer, nil); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute) //nolint:forbidigo // virtual
		_, err := a.Authenticate(t.Context(), peer, nil)
		want(t, err, proofExpired, "client certificate: has expired at")
	})
}

// TestAuthenticate_intermediateExpires has a connection whose certificate outlives the intermediate that it needs, in one
// or two editions with the same key.
func TestAuthenticate_intermediateExpires(t *testing.T) {
	t.Parallel()
	for name, editions := range map[string][]time.Duration{"one": {time.Hour}, "two": {time.Hour, 2 * time.Hour}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ends := time.Now().Add(100 * time.Hour)
				root := issue(t, &x509.Certificate{
					Subject: pkix.Name{CommonName: "root"}, NotBefore: time.Now(), NotAfter: ends,
					IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
				}, nil)
				intermediate := newAuthority(t)
				leaf := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "c"}, NotBefore: time.Now(), NotAfter: ends}, &intermediate)
				chain := []*x509.Certificate{leaf.cert}
				for _, lasts := range editions {
					edition := *intermediate.cert
					ends = time.Now().Add(lasts)
					edition.NotAfter = ends
					der, err := x509.CreateCertificate(rand.Reader, &edition, root.cert, &intermediate.key.PublicKey, root.key)
					if err != nil {
						t.Fatal(err)
					}
					cert, err := x509.ParseCertificate(der)
					if err != nil {
						t.Fatal(err)
					}
					chain = append(chain, cert)
				}
				a := authn.New(authn.Config{Authorities: sourceOf(pool(root))})
				peer := authn.NewPeer(&tls.ConnectionState{PeerCertificates: chain})
				got, err := a.Authenticate(t.Context(), peer, nil)
				if err != nil || got.Principal.Name != "c" || !got.Expires.Equal(ends) {
					t.Errorf("got %+v, %v, want c until %v", got, err, ends)
				}
				time.Sleep(time.Until(ends)) //nolint:forbidigo // virtual
				_, err = a.Authenticate(t.Context(), peer, nil)
				want(t, err, proofExpired, "client certificate: has expired at "+ends.UTC().Format(time.RFC3339))
			})
		})
	}
}

func TestAuthenticate_tokenWhereNoneIsAccepted(t *testing.T) {
	t.Parallel()
	a := authn.New(authn.Config{Authorities: sourceOf(pool(newAuthority(t)))})
	_, err := a.Authenticate(t.Context(), authn.NewPeer(nil), []string{"Bearer x"})
	want(t, err, proofInvalid, "is not accepted, a client certificate is")
}

func TestParseKeySet_refused(t *testing.T) {
	t.Parallel()
	one := string(setJSON(t, newSigner(t, "a")))
	key := one[len(`{"keys":[`) : len(one)-2]
	secret := base64.RawURLEncoding.EncodeToString([]byte("a symmetric secret of 32 bytes!!"))
	for text, wanted := range map[string]string{
		"":            "must be a JSON Web Key Set",
		"[]":          "must be a JSON Web Key Set",
		`{"keys":[]}`: "must have a public key for signatures, of type RSA, EC or OKP with Ed25519",
		`{"keys":[{"kty":"oct","k":"` + secret + `"}]}`:       "must have a public key for signatures, of type RSA, EC or OKP with Ed25519",
		strings.Replace(one, `"use":"sig"`, `"use":"enc"`, 1): "must have a public key for signatures, of type RSA, EC or OKP with Ed25519",
		`{"keys":[` + strings.Repeat("{},", 1000) + `{}]}`:    "has 1001 keys, must have at most 1000",
	} {
		if _, err := authn.ParseKeySet([]byte(text)); err == nil || err.Error() != wanted {
			t.Errorf("%.80q: got %v, want %q", text, err, wanted)
		}
	}
	// Keys of kinds that are not known here are for others.
	if _, err := authn.ParseKeySet([]byte(`{"keys":[{"kty":"new"},` + key + `]}`)); err != nil {
		t.Error(err)
	}
}

// FuzzAuthenticate makes sure that no token is accepted but the good one, whatever is changed in it.
func FuzzAuthenticate(f *testing.F) {
	s := newSigner(f, "k")
	good := s.sign(f, claims(jwt.MapClaims{"exp": time.Now().Add(1000 * time.Hour).Unix()}))
	a := authn.New(authn.Config{
		JWT:    jwtBy(sourceOf(setOf(f, s))),
		Tokens: sourceOf(func() *authn.Tokens { t, _ := authn.ParseTokens([]byte("a: " + strings.Repeat("ab", 32))); return t }()),
	})
	parts := strings.Split(good, ".")
	mac := hmac.New(sha256.New, []byte("k"))
	for _, seed := range []string{
		good, "Bearer " + good, "a.b.c", "..", parts[0] + "." + parts[1] + ".", "eyJhbGciOiJub25lIn0." + parts[1] + ".",
		parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"k","crit":["exp"]}`)) + "." + parts[1] + "." + parts[2],
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		got, err := a.Authenticate(t.Context(), authn.NewPeer(nil), []string{"Bearer " + token})
		// The same signature may be written in several ways by base64; what is signed may not.
		signed, _, _ := strings.Cut(strings.TrimPrefix(token, parts[0]+"."+parts[1]), ".")
		if accepted := err == nil; accepted && (!strings.HasPrefix(token, parts[0]+"."+parts[1]+".") || signed != "" || got.Principal.Name != subject) {
			t.Errorf("%q is accepted as %+v", token, got)
		}
		if err != nil && got != (authn.Identity{}) {
			t.Errorf("%q: got %+v beside %v", token, got, err)
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	s := signer{"k", jwt.SigningMethodRS256, crypto.PrivateKey(rsaKey)}
	a := authn.New(authn.Config{JWT: jwtBy(sourceOf(setOf(b, s)))})
	kept := []string{"Bearer " + s.sign(b, claims(nil))}
	b.Run("kept", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.Authenticate(b.Context(), authn.NewPeer(nil), kept); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verified", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			fresh := []string{"Bearer " + s.sign(b, claims(jwt.MapClaims{"jti": fmt.Sprint(i)}))}
			b.StartTimer()
			if _, err := a.Authenticate(b.Context(), authn.NewPeer(nil), fresh); err != nil {
				b.Fatal(err)
			}
		}
	})
}
