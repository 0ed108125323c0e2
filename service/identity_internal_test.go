package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/url"
	"testing"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/upstream"
)

func TestCallerIsWhoIsCertainToCall(t *testing.T) {
	t.Parallel()
	spiffe := &url.URL{Scheme: "spiffe", Host: "acme", Path: "/billing"}
	address := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 4711}
	verified := func(c *x509.Certificate) credentials.AuthInfo {
		return credentials.TLSInfo{State: tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{c}}}}
	}
	for name, test := range map[string]struct {
		from *peer.Peer
		says string
		want string
	}{
		"the URI of its certificate":                {&peer.Peer{Addr: address, AuthInfo: verified(&x509.Certificate{URIs: []*url.URL{spiffe}, Subject: pkix.Name{CommonName: "x"}})}, "forged", "spiffe://acme/billing"},
		"the common name of its certificate":        {&peer.Peer{Addr: address, AuthInfo: verified(&x509.Certificate{Subject: pkix.Name{CommonName: "billing"}})}, "forged", "billing"},
		"the first host that its certificate names": {&peer.Peer{Addr: address, AuthInfo: verified(&x509.Certificate{DNSNames: []string{"billing.acme", "b.acme"}})}, "forged", "billing.acme"},
		"what it says where that has no name":       {&peer.Peer{Addr: address, AuthInfo: verified(&x509.Certificate{})}, "billing", "billing"},
		"what it says without a certificate":        {&peer.Peer{Addr: address, AuthInfo: credentials.TLSInfo{}}, "billing", "billing"},
		"what it says in plaintext":                 {&peer.Peer{Addr: address}, "billing", "billing"},
		"its address where it says nothing":         {&peer.Peer{Addr: address}, "", "10.0.0.7"},
		"its address, though it has no port":        {&peer.Peer{Addr: &net.UnixAddr{Name: "/run/x", Net: "unix"}}, "", "/run/x"},
		"nobody where there is no address":          {&peer.Peer{}, "", ""},
		"nobody where there is no peer at all":      {nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Context(t.Context())
			if test.from != nil {
				ctx = peer.NewContext(ctx, test.from)
			}
			req := &upstream.Request{From: identity.Identity{Caller: test.says}}
			identify(ctx, req)
			if req.From.Caller != test.want {
				t.Errorf("the caller is %q, want %q", req.From.Caller, test.want)
			}
		})
	}
}
