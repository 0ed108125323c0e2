package service

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"samsara.internal/gateway/internal/authn"
	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/lease"
)

// connections are the credentials of the server. They make the AuthInfo of every connection a *connection,
// which has what the gateway knows of it in addition to the AuthInfo of the wrapped credentials.
//
// They leave the connection itself as it is: grpc reads from a bare TCP connection into buffers that it
// shares, and gives a connection of any other type a buffer of 32 KiB for itself.
type connections struct {
	credentials.TransportCredentials
	answers, requests *lease.Pool
}

// ServerHandshake implements credentials.TransportCredentials.
func (c connections) ServerHandshake(socket net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(socket)
	if err != nil {
		return nil, nil, err
	}
	return conn, c.connection(socket, info), nil
}

// Clone implements credentials.TransportCredentials.
func (c connections) Clone() credentials.TransportCredentials {
	c.TransportCredentials = c.TransportCredentials.Clone()
	return c
}

// connection returns the AuthInfo of a connection over a socket.
func (c connections) connection(socket net.Conn, info credentials.AuthInfo) *connection {
	client := &connection{
		AuthInfo: info, socket: socket, memory: make(map[identity.Principal]memory),
		begun: time.Now(), share: 0.1 + rand.Float64()/10, //nolint:gosec // it spreads load and keeps nothing secret
	}
	client.peer, client.address = authn.NewPeer(nil), host(socket.RemoteAddr())
	if secured, ok := info.(credentials.TLSInfo); ok {
		client.peer = authn.NewPeer(&secured.State)
	}
	if raw, ok := socket.(syscall.Conn); ok {
		// It fails if the socket is closed already, which is noticed elsewhere.
		client.raw, _ = raw.SyscallConn()
	}
	client.anyone = caller{connection: client, memory: c.memory(client)}
	return client
}

// memory returns holders for a connection that hold nothing yet.
func (c connections) memory(of *connection) memory {
	return memory{c.answers.Holder(of), c.requests.Holder(of)}
}

// connection is a connection of a client, from its handshake on. It implements lease.Conn by its socket,
// below TLS. It is safe for concurrent use.
type connection struct {
	credentials.AuthInfo
	socket net.Conn
	// begun is when the connection came, and share is by which share of the greatest age its streams outlast that: a
	// tenth to a fifth, so that grpc has told the client before, and so that clients do not all come back together.
	begun time.Time
	share float64
	// peer is what the client's handshake has shown.
	peer *authn.Peer
	// anyone is who calls if nobody is asked to prove anything. latest is who has called last otherwise.
	anyone caller
	latest atomic.Pointer[caller]
	// raw is the socket's; nil: the socket is not the kernel's, and counts as open.
	raw syscall.RawConn
	// address is the address that the client calls from.
	address string

	mu sync.Mutex
	// memory is held by those who have proved who they are, maxHolders at most.
	memory map[identity.Principal]memory
}

// maxHolders bounds the identities that hold memory of their own over one connection. Others hold it together.
const maxHolders = 64

// memory is what somebody holds by a connection: what is on its way to the client, and what grpc reads from it.
type memory struct{ answers, requests *lease.Holder }

// memoryOf returns the memory that an identity holds by the connection.
func (c *connection) memoryOf(who identity.Principal, pools connections) memory {
	if who.Means == identity.Anonymous {
		return c.anyone.memory
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	held, ok := c.memory[who]
	switch {
	case ok:
	case len(c.memory) >= maxHolders:
		held = c.anyone.memory
	default:
		held = pools.memory(c)
		c.memory[who] = held
	}
	return held
}

// Closed implements lease.Conn: it asks whether grpc has closed the socket, which takes 14 ns.
func (c *connection) Closed() bool {
	return c.raw != nil && c.raw.Control(func(uintptr) {}) != nil
}

// Close implements lease.Conn.
func (c *connection) Close() error { return c.socket.Close() }

// GetSecurityValue implements credentials.ChannelzSecurityInfo by the wrapped AuthInfo.
func (c *connection) GetSecurityValue() credentials.ChannelzSecurityValue {
	if info, ok := c.AuthInfo.(credentials.ChannelzSecurityInfo); ok {
		return info.GetSecurityValue()
	}
	return nil
}

// logPressure logs the connections that a pool closes. held says what they hold.
func logPressure(logger *slog.Logger, pool *lease.Pool, held string) {
	pool.OnPressure(func(c lease.Conn, bytes int64) {
		peer := ""
		if c, ok := c.(*connection); ok {
			peer = c.socket.RemoteAddr().String()
		}
		logger.Warn("connection closed: its client makes no progress, and others need the memory that it holds",
			"peer", peer, "held", held, "bytes", bytes)
	})
}

// errNoConnection is a fault of the server: connections make the AuthInfo of every peer.
var errNoConnection = errors.New("the call is of no connection")

// connectionOf returns the connection that a call came over.
func connectionOf(ctx context.Context) (*connection, error) {
	if from, ok := peer.FromContext(ctx); ok {
		if c, ok := from.AuthInfo.(*connection); ok {
			return c, nil
		}
	}
	return nil, errNoConnection
}

// callerOf returns who makes the call that ctx belongs to.
func callerOf(ctx context.Context) (*caller, error) {
	if from := lineOf(ctx).access.caller; from != nil {
		return from, nil
	}
	from, err := connectionOf(ctx)
	if err != nil {
		return nil, err
	}
	return &from.anyone, nil
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

// requestRoom is how much grpc may hold of a request while it is read: the largest request, because a client
// can take its time.
type requestRoom int64

// receive reads a request into a message when there is room for it.
func (r requestRoom) receive(ctx context.Context, from *caller, decode func(any) error, into any) error {
	if err := from.requests.Room(ctx, int64(r)); err != nil {
		return noRoom(err)
	}
	defer from.requests.Leave(int64(r))
	return decode(into)
}

// read receives a request of the call that ctx belongs to.
func (r requestRoom) read(ctx context.Context, decode func(any) error, into any) error {
	from, err := callerOf(ctx)
	if err != nil {
		return err
	}
	return r.receive(ctx, from, decode, into)
}

// roomStream is a stream of a service other than the operations'.
type roomStream struct {
	grpc.ServerStream
	room  requestRoom
	codec codec
	// many is whether the client may send any number of requests.
	many bool
}

// RecvMsg implements grpc.ServerStream. Room is held while a request is being read, not while the next
// one is awaited, which may last until the server stops.
func (s roomStream) RecvMsg(into any) error {
	from, ok := grpc.ServerTransportStreamFromContext(s.Context()).(arrival)
	if !ok || !s.many {
		return s.room.read(s.Context(), s.ServerStream.RecvMsg, into)
	}
	header, err := awaitMessage(s.Context(), from)
	if err != nil {
		return err
	}
	return s.room.read(s.Context(), func(into any) error { return s.codec.receive(from, header, int(s.room), into) }, into)
}
