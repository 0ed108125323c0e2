package authn

import (
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"
	"time"

	"samsara.internal/gateway/internal/identity"
)

// Peer is what the handshake of a connection has shown. It is safe for concurrent use.
type Peer struct {
	// chain begins with the client's certificate; empty: it has shown none.
	chain []*x509.Certificate
	// verified is what came of the certificate with one version of the authorities.
	verified atomic.Pointer[verified]
}

type verified struct {
	version uint64
	who     Identity
	err     *Error
}

// NewPeer returns the peer of a connection; nil: one without TLS.
func NewPeer(state *tls.ConnectionState) *Peer {
	if state == nil {
		return &Peer{}
	}
	return &Peer{chain: state.PeerCertificates}
}

func (p *Peer) isCertified() bool { return p != nil && len(p.chain) > 0 }

// certificate returns whom the certificate of a peer names. It is verified by the authorities that are in use now:
// the handshake may have been long ago.
func (a *Authenticator) certificate(p *Peer) (Identity, *Error) {
	version := a.config.Authorities.Version()
	known := p.verified.Load()
	if known == nil || known.version != version {
		known = &verified{version: version}
		known.who, known.err = verify(p.chain, a.config.Authorities.Get(), time.Now())
		p.verified.Store(known)
	}
	if known.err == nil && !time.Now().Before(known.who.Expires) {
		return Identity{}, expired("client certificate", known.who.Expires)
	}
	return known.who, known.err
}

// verify returns whom the first certificate of a chain names, until the chain ends: an intermediate or an authority may
// end before it.
func verify(chain []*x509.Certificate, authorities *x509.CertPool, now time.Time) (Identity, *Error) {
	leaf := chain[0]
	switch {
	case now.After(leaf.NotAfter):
		return Identity{}, expired("client certificate", leaf.NotAfter)
	case now.Before(leaf.NotBefore):
		return Identity{}, invalid("client certificate: is not valid before %s", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: authorities, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return Identity{}, invalid("client certificate: is of no authority that is trusted now")
	}
	name := nameIn(leaf)
	if fault := checkName(name); fault != "" {
		return Identity{}, invalid("client certificate: its first URI, else its first DNS name, else its common name %s", fault)
	}
	return Identity{identity.Principal{Means: identity.Certificate, Name: name}, endOf(chains)}, nil
}

// endOf returns when the last of these chains ends. A chain ends with the first of its certificates that does.
func endOf(chains [][]*x509.Certificate) (end time.Time) {
	for _, chain := range chains {
		first := chain[0].NotAfter
		for _, c := range chain[1:] {
			if c.NotAfter.Before(first) {
				first = c.NotAfter
			}
		}
		if first.After(end) {
			end = first
		}
	}
	return end
}

func nameIn(c *x509.Certificate) string {
	switch {
	case len(c.URIs) > 0:
		return c.URIs[0].String()
	case len(c.DNSNames) > 0:
		return c.DNSNames[0]
	default:
		return c.Subject.CommonName
	}
}
