package authn

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/maypok86/otter/v2"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/identity"
)

const (
	// keptFor is how long a verified token is not verified again.
	keptFor = 30 * time.Second
	// maxKept bounds the verified tokens that are kept.
	maxKept = 10_000
)

// JWT says which signed tokens are accepted. All fields except Skew are required.
type JWT struct {
	Issuer string
	// Audiences are those of which a token must have one.
	Audiences []string
	// Skew is how far the issuer's clock may be off.
	Skew time.Duration
	Keys Keys
}

// Keys are the keys of an issuer. *KeyFile and *KeyURL are Keys.
type Keys interface {
	// Get returns the keys that are in use; nil: none could be had so far.
	Get() *KeySet
	// Version grows with each change.
	Version() uint64
	// Again returns the keys that are in use after another look, if one is made soon: because of a token with an
	// unknown key.
	Again(ctx context.Context) *KeySet
}

// kept are the tokens that were verified lately.
type kept struct {
	cache *otter.Cache[keptKey, keptToken]
}

type keptKey struct {
	hash    [32]byte
	version uint64 // of the keys
}

type keptToken struct {
	who   Identity
	until time.Time
}

func newKept() *kept {
	return &kept{otter.Must(&otter.Options[keptKey, keptToken]{
		MaximumSize: maxKept,
		Executor:    func(task func()) { task() }, // No goroutine outlives a call.
	})}
}

// signed returns whom a signed token stands for.
func (a *Authenticator) signed(ctx context.Context, hash [32]byte, token string) (Identity, *Error) {
	key := keptKey{hash, a.config.JWT.Keys.Version()}
	if k, ok := a.kept.cache.GetIfPresent(key); ok && time.Now().Before(k.until) {
		return k.who, nil
	}
	who, err := a.config.JWT.verify(ctx, token)
	if err != nil {
		return Identity{}, err
	}
	until := time.Now().Add(keptFor)
	if who.Expires.Before(until) {
		until = who.Expires
	}
	a.kept.cache.Set(key, keptToken{who, until})
	return who, nil
}

// errNoKeys means that no keys could be had so far.
var errNoKeys = errors.New("no keys")

// verify returns whom a token stands for.
func (j *JWT) verify(ctx context.Context, token string) (Identity, *Error) {
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}),
		jwt.WithIssuer(j.Issuer), jwt.WithAudience(j.Audiences...), jwt.WithExpirationRequired(), jwt.WithLeeway(j.Skew),
	)
	var claims jwt.RegisteredClaims
	_, err := parser.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) { return j.key(ctx, t) })
	if err != nil {
		return Identity{}, j.refusal(err, &claims)
	}
	if fault := checkName(claims.Subject); fault != "" {
		return Identity{}, invalid("bearer token: its sub %s", fault)
	}
	return Identity{identity.Principal{Means: identity.JWT, Name: claims.Subject}, claims.ExpiresAt.Add(j.Skew)}, nil
}

// errCritical means that a token has a header "crit". It names extensions that whoever does not know them must refuse,
// by RFC 7515, section 4.1.11, and none is known here.
var errCritical = errors.New("crit")

// key returns the keys that a token names.
func (j *JWT) key(ctx context.Context, t *jwt.Token) (any, error) {
	if _, is := t.Header["crit"]; is {
		return nil, errCritical
	}
	id, _ := t.Header["kid"].(string)
	keys := j.Keys.Get()
	found := keys.find(id, t.Method.Alg())
	if found == nil {
		keys = j.Keys.Again(ctx)
		found = keys.find(id, t.Method.Alg())
	}
	switch {
	case found != nil:
		return jwt.VerificationKeySet{Keys: found}, nil
	case keys == nil:
		return nil, errNoKeys
	default:
		return nil, jwt.ErrTokenUnverifiable
	}
}

// refusal returns what a caller is told of a token with these claims, whose signature is good if they are what is
// wrong.
func (j *JWT) refusal(err error, claims *jwt.RegisteredClaims) *Error {
	switch {
	case errors.Is(err, errNoKeys):
		return &Error{apiv1.Reason_REASON_GATEWAY_KEYS, "bearer token: cannot be checked, because the keys of its issuer could not be had so far"}
	case errors.Is(err, errCritical):
		return invalid("bearer token: its header crit asks for something that is not known here")
	case errors.Is(err, jwt.ErrTokenMalformed):
		return invalid("bearer token: is no JWT")
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return invalid("bearer token: is signed by a key that its issuer does not have, or has for something else")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return invalid("bearer token: its signature is wrong, or not of an accepted kind")
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return invalid("bearer token: must have iss, aud, exp and sub")
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return invalid("bearer token: its iss is %s, must be %s", quote(claims.Issuer), quote(j.Issuer))
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return invalid("bearer token: its aud is %s, must have %s", quote(strings.Join(claims.Audience, " ")), quote(strings.Join(j.Audiences, " or ")))
	case errors.Is(err, jwt.ErrTokenExpired):
		return expired("bearer token", claims.ExpiresAt.Time)
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return invalid("bearer token: is not valid yet")
	default:
		return invalid("bearer token: its claims are not as they must be")
	}
}

// quote returns a value as errors show it.
func quote(s string) string {
	if len(s) > 64 {
		s = s[:64] + "..."
	}
	return strconv.Quote(s)
}
