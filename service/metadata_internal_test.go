package service

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"samsara.internal/gateway/internal/authn"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/upstream"
)

// knownTokens is a source of tokens that do not change.
type knownTokens struct{ *authn.Tokens }

func (k knownTokens) Get() *authn.Tokens { return k.Tokens }
func (k knownTokens) Version() uint64    { return 1 }

// FuzzMetadata makes a call with any metadata: lines of a name, a colon and a value. Without the one good token the
// call is refused, and what it was refused for fits into a trailer and does not show the token.
func FuzzMetadata(f *testing.F) {
	const token = "sgw_a-static-token-of-billing"
	tokens, err := authn.ParseTokens([]byte("billing: f9f20914fed234a297f46bc2575b93cc82c80f625a5b8cd24205dcbd92e6b1e5\n"))
	if err != nil {
		f.Fatal(err)
	}
	c := Config{
		Logger: slog.New(slog.DiscardHandler), MaxConcurrentCalls: 10, Answers: lease.NewPool(1), Requests: lease.NewPool(1),
		Authenticator: authn.New(authn.Config{Tokens: knownTokens{tokens}}),
	}
	client, err := upstream.New(upstream.Config{BaseURL: &url.URL{Scheme: "http", Host: "nobody.invalid"}, Token: upstream.StaticToken("t")})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(client.Close)
	org, err := NewOrganization(OrganizationConfig{Name: "north", Upstream: client, Told: true})
	if err != nil {
		f.Fatal(err)
	}
	edge := newEdge(c, one{org}, f.Context())
	h := &handler{gate: edge.gate, sandboxFaults: true}
	for _, seed := range []string{
		"authorization: Bearer " + token,
		"authorization: bearer " + token + "\nsamsara-caller: billing/report\nsamsara-priority: batch\nsamsara-org: north",
		"authorization: Bearer x\nauthorization: Bearer " + token,
		"authorization: Basic " + token + "\nsamsara-retry: always\nsamsara-cache: no-store",
		"authorization: Bearer " + token + "\nsamsara-retry: Always\nsamsara-cache: \xff\nsamsara-priority: \x00\nsamsara-caller: admin\nsamsara-org: \u2028",
		"authorization: Bearer " + token + "\nsamsara-caller: billing/" + strings.Repeat("x", 100),
		"authorization: Bearer " + token + "\nx: " + strings.Repeat("y", maxMetadataBytes),
		"samsara-caller: billing", ": ", "authorization:",
		"authorization: Bearer " + token + "\nsamsara-sandbox-fault: 503;first=1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		md := metadata.MD{}
		for _, line := range strings.Split(text, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			md.Append(name, value)
		}
		given := strings.Join(md[authorizationKey], ", ")
		ctx, err := arrived(t.Context(), &tap.Info{FullMethodName: "/s/m", Header: md})
		if err != nil {
			t.Fatal(err)
		}
		if _, still := md[authorizationKey]; still {
			t.Error("the token is still in the metadata")
		}
		ctx = peer.NewContext(ctx, &peer.Peer{AuthInfo: edge.gate.pools.connection(socketOf{address: &net.TCPAddr{}}, nil)})
		var req upstream.Request
		_, err = edge.unary(metadata.NewIncomingContext(ctx, md), nil, &grpc.UnaryServerInfo{FullMethod: "/s/m"}, func(ctx context.Context, _ any) (any, error) {
			from, err := callerOf(ctx)
			if err != nil {
				return nil, err
			}
			return nil, h.applyMetadata(ctx, from, org, org.operations.at(http.MethodGet, "/x"), &req)
		})
		s := status.Convert(err)
		switch s.Code() {
		case codes.OK:
			if scheme, rest, _ := strings.Cut(given, " "); !strings.EqualFold(scheme, "bearer") || strings.TrimLeft(rest, " ") != token {
				t.Errorf("%q is accepted", given)
			}
			if req.From.Caller != "billing" || req.From.Tenant != "north" {
				t.Errorf("the call is of %+v", req.From)
			}
		case codes.InvalidArgument, codes.Unauthenticated:
			if bytes := trailerBytes(s, metadata.MD{}); bytes > maxTrailerBytes {
				t.Errorf("the error has %d bytes as a trailer, must have at most %d", bytes, maxTrailerBytes)
			}
			if strings.Contains(s.Proto().String(), token) && !strings.Contains(strings.ReplaceAll(text, given, ""), token) || !utf8.ValidString(s.Message()) {
				t.Errorf("the error is %v", s)
			}
		default:
			t.Errorf("got %v", s)
		}
	})
}
