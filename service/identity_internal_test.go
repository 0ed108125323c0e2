package service

import (
	"context"
	"errors"
	"net"
	"strconv"
	"testing"

	"google.golang.org/grpc/peer"

	"samsara.internal/gateway/internal/authn"
	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/internal/policy"
	"samsara.internal/gateway/upstream"
)

func TestIdentify_mostCertainName(t *testing.T) {
	t.Parallel()
	address := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 4711}
	billing := identity.Principal{Means: identity.Token, Name: "billing"}
	closed := &gate{authenticator: authn.New(authn.Config{}), policy: func() *policy.Policy { return nil }}
	open := &gate{policy: func() *policy.Policy { return nil }}
	limited := policy.Decision{Allowed: true, Limits: &policy.Limits{Weight: 3, Batch: true}}
	for name, test := range map[string]struct {
		gate     *gate
		who      identity.Principal
		decision policy.Decision
		address  net.Addr
		says     string
		want     identity.Identity
		logged   string
	}{
		"what it has proved":                   {closed, billing, policy.Decision{}, address, "", identity.Identity{Caller: "billing"}, "billing"},
		"what it has proved, logged in part":   {closed, billing, policy.Decision{}, address, "billing/report", identity.Identity{Caller: "billing"}, "billing/report"},
		"what it has proved, within limits":    {closed, billing, limited, address, "", identity.Identity{Caller: "billing", Weight: 3, Batch: true}, "billing"},
		"what it says where nobody proves":     {open, identity.Principal{}, policy.Decision{}, address, "billing", identity.Identity{Caller: "billing"}, "billing"},
		"its address if it says nothing":       {open, identity.Principal{}, policy.Decision{}, address, "", identity.Identity{Caller: "10.0.0.7"}, "10.0.0.7"},
		"its address, though it has no port":   {open, identity.Principal{}, policy.Decision{}, &net.UnixAddr{Name: "/run/x", Net: "unix"}, "", identity.Identity{Caller: "/run/x"}, "/run/x"},
		"nobody if there is no address":        {open, identity.Principal{}, policy.Decision{}, nil, "", identity.Identity{}, ""},
		"what it says where others must prove": {closed, identity.Principal{}, policy.Decision{}, address, "billing", identity.Identity{Caller: "anonymous/billing"}, "anonymous/billing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pools := connections{answers: lease.NewPool(1), requests: lease.NewPool(1)}
			made := pools.connection(socketOf{address: test.address}, nil)
			from := &caller{connection: made, memory: made.memoryOf(test.who, pools), who: authn.Identity{Principal: test.who}}
			req, line := &upstream.Request{}, &logLine{access: access{caller: from, decision: test.decision}}
			(&handler{gate: test.gate}).identify(from, line, test.says, req)
			if req.From != test.want || line.caller != test.logged {
				t.Errorf("the caller is %+v, logged as %q, want %+v, %q", req.From, line.caller, test.want, test.logged)
			}
			if req.Memory != from.answers {
				t.Error("the answer is not held by the caller")
			}
		})
	}
}

func TestIsPartOf_wholeNamesOnly(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"billing": true, "billing/report": true, "billing/": false, "billings": false, "bill": false, "": false, "dispatch/billing": false,
	} {
		if got := isPartOf(name, "billing"); got != want {
			t.Errorf("%q: got %t, want %t", name, got, want)
		}
	}
}

// TestMemoryOf_eachIdentityApart holds memory for more identities than a connection counts apart.
func TestMemoryOf_eachIdentityApart(t *testing.T) {
	t.Parallel()
	pools := connections{answers: lease.NewPool(1), requests: lease.NewPool(1)}
	made := pools.connection(socketOf{}, nil)
	of := func(i int) memory {
		return made.memoryOf(identity.Principal{Means: identity.JWT, Name: strconv.Itoa(i)}, pools)
	}
	seen := make(map[memory]bool)
	for i := range maxHolders {
		seen[of(i)] = true
	}
	if len(seen) != maxHolders || seen[made.anyone.memory] {
		t.Errorf("%d identities have %d holders, want as many, and not those of everybody", maxHolders, len(seen))
	}
	if !seen[of(0)] || of(maxHolders) != made.anyone.memory || made.memoryOf(identity.Principal{}, pools) != made.anyone.memory {
		t.Error("an identity has several holders, or one too many has its own")
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
