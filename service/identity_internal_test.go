package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"net/url"
	"testing"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/upstream"
)

func TestIdentify_mostCertainName(t *testing.T) {
	t.Parallel()
	spiffe := &url.URL{Scheme: "spiffe", Host: "acme", Path: "/billing"}
	address := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 4711}
	verified := func(c *x509.Certificate) credentials.AuthInfo {
		return credentials.TLSInfo{State: tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{c}}}}
	}
	for name, test := range map[string]struct {
		info    credentials.AuthInfo
		address net.Addr
		says    string
		want    string
	}{
		"the URI of its certificate":                {verified(&x509.Certificate{URIs: []*url.URL{spiffe}, Subject: pkix.Name{CommonName: "x"}}), address, "forged", "spiffe://acme/billing"},
		"the common name of its certificate":        {verified(&x509.Certificate{Subject: pkix.Name{CommonName: "billing"}}), address, "forged", "billing"},
		"the first host that its certificate names": {verified(&x509.Certificate{DNSNames: []string{"billing.acme", "b.acme"}}), address, "forged", "billing.acme"},
		"what it says if that has no name":          {verified(&x509.Certificate{}), address, "billing", "billing"},
		"what it says without a certificate":        {credentials.TLSInfo{}, address, "billing", "billing"},
		"what it says in plaintext":                 {nil, address, "billing", "billing"},
		"its address if it says nothing":            {nil, address, "", "10.0.0.7"},
		"its address, though it has no port":        {nil, &net.UnixAddr{Name: "/run/x", Net: "unix"}, "", "/run/x"},
		"nobody if there is no address":             {nil, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made := connections{answers: lease.NewPool(1), requests: lease.NewPool(1)}.connection(socketOf{address: test.address}, test.info)
			from, err := connectionOf(peer.NewContext(t.Context(), &peer.Peer{AuthInfo: made}))
			if err != nil {
				t.Fatal(err)
			}
			call := &upstream.Call{From: identity.Identity{Caller: test.says}}
			from.identify(call)
			if call.From.Caller != test.want {
				t.Errorf("the caller is %q, want %q", call.From.Caller, test.want)
			}
			if call.Memory != made.answers {
				t.Error("the answer is not held by the connection")
			}
		})
	}
}

// socketOf is a socket of which only the address matters.
type socketOf struct {
	net.Conn
	address net.Addr
}

func (s socketOf) RemoteAddr() net.Addr { return s.address }

func TestConnectionOf_none(t *testing.T) {
	t.Parallel()
	for name, ctx := range map[string]context.Context{
		"no peer":                 t.Context(),
		"a peer without AuthInfo": peer.NewContext(t.Context(), &peer.Peer{}),
	} {
		if c, err := connectionOf(ctx); c != nil || !errors.Is(err, errNoConnection) {
			t.Errorf("%s: got %v, %v, want errNoConnection", name, c, err)
		}
	}
}
