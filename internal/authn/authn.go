package authn

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/identity"
)

const (
	// maxTokenBytes bounds a bearer token.
	maxTokenBytes = 8 << 10
	// maxNameBytes bounds the name of a caller.
	maxNameBytes = 256
)

// Source is a value that changes now and then. *reload.Value is one.
type Source[T any] interface {
	Get() T
	// Version grows with each change.
	Version() uint64
}

// Config says which proofs are accepted. A field that is nil stands for a proof that is not.
type Config struct {
	// Authorities sign the certificates of clients.
	Authorities Source[*x509.CertPool]
	// Tokens are the static tokens.
	Tokens Source[*Tokens]
	// JWT says which signed tokens are accepted.
	JWT *JWT
}

// Identity is a caller that has proved who it is. The zero value has proved nothing.
type Identity struct {
	Principal identity.Principal
	// Expires is when the proof ends; zero: it does not end by itself.
	Expires time.Time
}

// Error says why a proof is not accepted. Its text is for the caller.
type Error struct {
	Reason apiv1.Reason
	Text   string
}

func (e *Error) Error() string { return e.Text }

func invalid(format string, args ...any) *Error {
	return &Error{apiv1.Reason_REASON_REQUEST_PROOF_INVALID, fmt.Sprintf(format, args...)}
}

func expired(what string, at time.Time) *Error {
	return &Error{apiv1.Reason_REASON_REQUEST_PROOF_EXPIRED, what + ": has expired at " + at.UTC().Format(time.RFC3339)}
}

// Authenticator says who calls.
type Authenticator struct {
	config Config
	kept   *kept
}

// New returns an authenticator.
func New(cfg Config) *Authenticator { return &Authenticator{config: cfg, kept: newKept()} }

// Revision grows whenever something that was accepted may no longer be.
func (a *Authenticator) Revision() uint64 {
	var sum uint64
	if a.config.Authorities != nil {
		sum += a.config.Authorities.Version()
	}
	if a.config.Tokens != nil {
		sum += a.config.Tokens.Version()
	}
	if a.config.JWT != nil {
		sum += a.config.JWT.Keys.Version()
	}
	return sum
}

// Authenticate returns who makes a call over a connection of p, with these values of the metadata authorization. It
// is the zero Identity if nothing was sent. The error is an *Error.
func (a *Authenticator) Authenticate(ctx context.Context, p *Peer, authorization []string) (Identity, error) {
	var certified Identity
	if a.config.Authorities != nil && p.isCertified() {
		var err *Error
		if certified, err = a.certificate(p); err != nil {
			return Identity{}, err
		}
	}
	if len(authorization) == 0 {
		return certified, nil
	}
	token, err := bearer(authorization)
	if err != nil {
		return Identity{}, err
	}
	found, err := a.token(ctx, token)
	if err != nil {
		return Identity{}, err
	}
	return found, nil
}

// token returns whom a bearer token stands for.
func (a *Authenticator) token(ctx context.Context, token string) (Identity, *Error) {
	hash := sha256.Sum256([]byte(token))
	if a.config.Tokens != nil {
		if name, ok := a.config.Tokens.Get().names[hash]; ok {
			return Identity{Principal: identity.Principal{Means: identity.Token, Name: name}}, nil
		}
	}
	switch {
	case a.config.JWT != nil && (a.config.Tokens == nil || strings.Count(token, ".") == 2):
		return a.signed(ctx, hash, token)
	case a.config.Tokens != nil:
		return Identity{}, invalid("bearer token: is not known")
	default:
		return Identity{}, invalid("bearer token: is not accepted, a client certificate is")
	}
}

// bearer returns the token in the metadata authorization.
func bearer(authorization []string) (string, *Error) {
	if len(authorization) != 1 {
		return "", invalid("authorization: has %d values, must have one", len(authorization))
	}
	scheme, token, found := strings.Cut(authorization[0], " ")
	switch {
	case !found || !strings.EqualFold(scheme, "bearer"):
		return "", invalid("authorization: must be Bearer and a token")
	case token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", invalid("bearer token: must be printable ASCII without spaces")
	case len(token) > maxTokenBytes:
		return "", invalid("bearer token: has %d bytes, must have at most %d", len(token), maxTokenBytes)
	default:
		return token, nil
	}
}

// checkName returns what is wrong with the name of a caller, empty if nothing is.
func checkName(name string) string {
	if name == "" || len(name) > maxNameBytes {
		return fmt.Sprintf("has %d bytes, must have 1 to %d", len(name), maxNameBytes)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "must be printable ASCII without spaces"
	}
	return ""
}
