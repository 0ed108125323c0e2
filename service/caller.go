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
	if info, ok := from.AuthInfo.(credentials.TLSInfo); ok && len(info.State.VerifiedChains) > 0 {
		certificate := info.State.VerifiedChains[0][0]
		if len(certificate.URIs) > 0 { // as SPIFFE has it
			req.Caller = certificate.URIs[0].String()
			return
		}
		req.Caller = cmp.Or(certificate.Subject.CommonName, req.Caller)
	}
	if req.Caller == "" {
		req.Caller = from.Addr.String()
		if host, _, err := net.SplitHostPort(req.Caller); err == nil {
			req.Caller = host
		}
	}
}
