package service

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

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
	client := &connection{AuthInfo: info, socket: socket}
	client.certified, client.address = certified(info), host(socket.RemoteAddr())
	if raw, ok := socket.(syscall.Conn); ok {
		// It fails if the socket is closed already, which is noticed elsewhere.
		client.raw, _ = raw.SyscallConn()
	}
	client.answers, client.requests = c.answers.Holder(client), c.requests.Holder(client)
	return client
}

// connection is a connection of a client, from its handshake on. It implements lease.Conn by its socket,
// below TLS. It is immutable and safe for concurrent use.
type connection struct {
	credentials.AuthInfo
	socket net.Conn
	// raw is the socket's; nil: the socket is not the kernel's, and counts as open.
	raw syscall.RawConn
	// certified is the name in the client's certificate, if it sent one. address is the address that it calls
	// from.
	certified, address string
	// answers holds what is on its way to the client, requests what grpc reads from it.
	answers, requests *lease.Holder
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

// certified returns the name in a verified client certificate: its first URI, as SPIFFE has it, else its
// common name, else its first host. It is empty if there is none.
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

// requestRoom is how much grpc may hold of a request while it is read: the largest request, because a client
// can take its time.
type requestRoom int64

// receive reads a request into a message when there is room for it.
func (r requestRoom) receive(ctx context.Context, from *connection, decode func(any) error, into any) error {
	if err := from.requests.Room(ctx, int64(r)); err != nil {
		return noRoom(err)
	}
	defer from.requests.Leave(int64(r))
	return decode(into)
}

// read receives a request of the call that ctx belongs to.
func (r requestRoom) read(ctx context.Context, decode func(any) error, into any) error {
	from, err := connectionOf(ctx)
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
