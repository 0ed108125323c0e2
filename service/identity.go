package service

import (
	"cmp"
	"context"
	"errors"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"samsara.internal/gateway/upstream"
)

// maxCallerBytes bounds the name that a caller gives itself.
const maxCallerBytes = 64

// errNoConnection is a fault of the server's own: connections make the AuthInfo of every peer.
var errNoConnection = errors.New("the call is of no connection")

// connectionOf returns the connection that a call came by.
func connectionOf(ctx context.Context) (*connection, error) {
	if from, ok := peer.FromContext(ctx); ok {
		if c, ok := from.AuthInfo.(*connection); ok {
			return c, nil
		}
	}
	return nil, errNoConnection
}

// identify sets who calls and who holds the answer. For the sharing of the quota it is what a
// verified client certificate says, else what the caller says, which is in call already, else the
// address that it calls from.
func (c *connection) identify(call *upstream.Call) {
	call.From.Caller = cmp.Or(c.certified, call.From.Caller, c.address)
	call.Memory = c.answers
}

// host returns an address without its port.
func host(address net.Addr) string {
	if address == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(address.String())
	if err != nil {
		return address.String()
	}
	return host
}

// certified returns the name in a verified client certificate: its first URI, as SPIFFE has it,
// else its common name, else its first host. It is empty where there is none.
func certified(info credentials.AuthInfo) string {
	secured, ok := info.(credentials.TLSInfo)
	if !ok || len(secured.State.VerifiedChains) == 0 {
		return ""
	}
	certificate := secured.State.VerifiedChains[0][0]
	switch {
	case len(certificate.URIs) > 0:
		return certificate.URIs[0].String()
	case certificate.Subject.CommonName != "":
		return certificate.Subject.CommonName
	case len(certificate.DNSNames) > 0:
		return certificate.DNSNames[0]
	default:
		return ""
	}
}
