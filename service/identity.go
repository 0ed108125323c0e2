package service

import (
	"cmp"
	"context"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"samsara.internal/gateway/upstream"
)

// maxCallerBytes bounds the name that a caller gives itself.
const maxCallerBytes = 64

// identify sets who calls, for the sharing of the quota: what a verified client certificate says,
// else what the caller says, which is in req already, else the address that it calls from.
func identify(ctx context.Context, req *upstream.Request) {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return
	}
	req.From.Caller = cmp.Or(certified(from.AuthInfo), req.From.Caller)
	if req.From.Caller == "" && from.Addr != nil {
		req.From.Caller = from.Addr.String()
		if host, _, err := net.SplitHostPort(req.From.Caller); err == nil {
			req.From.Caller = host
		}
	}
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
