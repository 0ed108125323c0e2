package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

// wideOpen is a window that no test fills.
const wideOpen = 1<<31 - 1

// rawCalls are calls of one method on a connection of their own, by a client that does only what these
// fields say. A grpc client would read what the server sends and end its calls properly.
type rawCalls struct {
	Address string
	// TrustFile is a PEM file with the certificate to trust. If it is empty, there is no TLS.
	TrustFile string
	// Window is the flow-control window of each stream, which the client never opens further. The window of
	// the connection is wideOpen, unless Window is 0.
	Window uint32
	// Deaf makes the client read nothing from its socket after the connection is open.
	Deaf bool
	// Method is the full method, with a leading slash.
	Method string
	// Header has further names and values, in turn.
	Header []string
	// Request is a message with its prefix of five bytes, see encoded.
	Request []byte
	// Withheld is how many bytes at the end of the request are never sent.
	Withheld int
	Calls    int
}

// begin connects and begins the calls. It does not wait until the requests were sent.
func (r rawCalls) begin(ctx context.Context) (*rawConn, error) {
	c, err := dialRaw(ctx, r)
	if err != nil {
		return nil, err
	}
	for range r.Calls {
		if _, err := c.call(r.Method, r.Header, r.Request, r.Withheld); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

// start is begin for a test, which closes the connection when it ends.
func (r rawCalls) start(t *testing.T) *rawConn {
	t.Helper()
	c, err := r.begin(waiting(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

// encoded returns a message as gRPC sends it, compressed or not.
func encoded(t *testing.T, m proto.Message, compressed bool) []byte {
	t.Helper()
	body, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	flag := byte(0)
	if compressed {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, err := w.Write(body)
		if err = errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		body, flag = b.Bytes(), 1
	}
	return append(binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(body))), body...)
}

// rawStream is a call of a rawConn. Its answer may be read after rawConn.await.
type rawStream struct {
	id uint32
	// unsent is the rest of the request that may be sent. last reports whether the request ends with it.
	unsent []byte
	last   bool
	window int64

	header map[string]string // and trailer
	body   []byte            // messages with their prefixes, at most maxKept bytes
	done   bool
}

// maxKept is how much of an answer a rawConn keeps.
const maxKept = 4 << 20

// rawConn is an HTTP/2 connection. Its methods may be called concurrently.
type rawConn struct {
	calls  rawCalls
	socket *net.TCPConn // below TLS
	conn   net.Conn
	// ended is closed when the connection is known to be over. A deaf client learns that only from close.
	ended   chan struct{}
	running sync.WaitGroup

	writing sync.Mutex // guards the fields below; taken before mu
	framer  *http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	nextID  uint32

	mu sync.Mutex
	// changed is closed and replaced when a field below has changed.
	changed         chan struct{}
	streams         map[uint32]*rawStream
	window, initial int64 // what the peer accepts on the connection, and at first on each stream
	sent            int64 // bytes of requests
	over            bool
}

// dialRaw connects and sends the preface of HTTP/2.
func dialRaw(ctx context.Context, calls rawCalls) (*rawConn, error) {
	opened, err := (&net.Dialer{}).DialContext(ctx, "tcp", calls.Address)
	if err != nil {
		return nil, err
	}
	socket, ok := opened.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("got a %T", opened), opened.Close())
	}
	c := &rawConn{
		calls: calls, socket: socket, conn: socket, ended: make(chan struct{}), nextID: 1,
		changed: make(chan struct{}), streams: map[uint32]*rawStream{}, window: 1<<16 - 1, initial: 1<<16 - 1,
	}
	if err := c.greet(ctx); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	c.running.Go(c.send)
	if !calls.Deaf {
		c.running.Go(c.read)
	}
	return c, nil
}

func (c *rawConn) greet(ctx context.Context) error {
	if c.calls.Deaf {
		// The smaller the receive buffer of the kernel, the sooner the peer blocks.
		if err := c.socket.SetReadBuffer(4 << 10); err != nil {
			return err
		}
	}
	if c.calls.TrustFile != "" {
		pem, err := os.ReadFile(c.calls.TrustFile)
		if err != nil {
			return err
		}
		trusted := x509.NewCertPool()
		trusted.AppendCertsFromPEM(pem)
		secured := tls.Client(c.socket, &tls.Config{
			MinVersion: tls.VersionTLS12, RootCAs: trusted, ServerName: "localhost", NextProtos: []string{http2.NextProtoTLS},
		})
		if err := secured.HandshakeContext(ctx); err != nil {
			return err
		}
		c.conn = secured
	}
	c.framer = http2.NewFramer(c.conn, c.conn)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.encoder = hpack.NewEncoder(&c.block)
	_, err := io.WriteString(c.conn, http2.ClientPreface)
	err = errors.Join(err, c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: c.calls.Window}))
	if c.calls.Window > 0 {
		err = errors.Join(err, c.framer.WriteWindowUpdate(0, wideOpen-(1<<16-1)))
	}
	return err
}

// call begins a call. Its request, except the withheld bytes, is sent as the windows of the peer allow.
func (c *rawConn) call(method string, header []string, request []byte, withheld int) (*rawStream, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	scheme := "http"
	if c.calls.TrustFile != "" {
		scheme = "https"
	}
	c.block.Reset()
	fields := append([]string{
		":method", "POST", ":scheme", scheme, ":path", method, ":authority", "localhost",
		"content-type", "application/grpc", "te", "trailers",
	}, header...)
	for i := 0; i < len(fields); i += 2 {
		if err := c.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			return nil, err
		}
	}
	s := &rawStream{id: c.nextID, unsent: request[:len(request)-withheld], last: withheld == 0, header: map[string]string{}}
	c.nextID += 2
	if err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, BlockFragment: c.block.Bytes(), EndHeaders: true}); err != nil {
		return nil, err
	}
	c.change(func() {
		s.window = c.initial
		c.streams[s.id] = s
	})
	return s, nil
}

// change changes fields that mu guards, and wakes the goroutines that wait for a change.
func (c *rawConn) change(by func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	by()
	close(c.changed)
	c.changed = make(chan struct{})
}

// send sends requests as the windows of the peer allow, until the connection is over.
func (c *rawConn) send() {
	for {
		c.writing.Lock()
		c.mu.Lock()
		over, changed := c.over, c.changed
		s, piece, end := c.pieceLocked()
		c.mu.Unlock()
		var err error
		if s != nil {
			err = c.framer.WriteData(s.id, end, piece)
		}
		c.writing.Unlock()
		switch {
		case over:
			return
		case err != nil:
			c.lost()
			return
		case s == nil:
			<-changed
		}
	}
}

// pieceLocked takes the next piece that may be sent. The stream is nil if there is none.
func (c *rawConn) pieceLocked() (s *rawStream, piece []byte, end bool) {
	const frame = 16 << 10 // every peer accepts frames of this size
	for _, s := range c.streams {
		n := int(min(int64(len(s.unsent)), s.window, c.window, frame))
		if n <= 0 {
			continue
		}
		piece, s.unsent = s.unsent[:n], s.unsent[n:]
		s.window -= int64(n)
		c.window -= int64(n)
		c.sent += int64(n)
		return s, piece, s.last && len(s.unsent) == 0
	}
	return nil, nil, false
}

// read handles the frames of the peer until the connection is over.
func (c *rawConn) read() {
	defer c.lost()
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if frame.IsAck() {
				continue
			}
			if initial, ok := frame.Value(http2.SettingInitialWindowSize); ok {
				c.change(func() {
					for _, s := range c.streams {
						s.window += int64(initial) - c.initial
					}
					c.initial = int64(initial)
				})
			}
			err = c.reply(func() error { return c.framer.WriteSettingsAck() })
		case *http2.PingFrame:
			if !frame.IsAck() {
				err = c.reply(func() error { return c.framer.WritePing(true, frame.Data) })
			}
		case *http2.WindowUpdateFrame:
			c.change(func() {
				if s := c.streams[frame.StreamID]; s != nil {
					s.window += int64(frame.Increment)
				} else if frame.StreamID == 0 {
					c.window += int64(frame.Increment)
				}
			})
		case *http2.MetaHeadersFrame:
			c.change(func() {
				if s := c.streams[frame.StreamID]; s != nil {
					for _, field := range frame.Fields {
						s.header[field.Name] = field.Value
					}
					s.done = s.done || frame.StreamEnded()
				}
			})
		case *http2.DataFrame:
			c.change(func() {
				if s := c.streams[frame.StreamID]; s != nil {
					s.body = append(s.body, frame.Data()[:min(len(frame.Data()), maxKept-len(s.body))]...)
				}
			})
		case *http2.RSTStreamFrame:
			c.change(func() {
				if s := c.streams[frame.StreamID]; s != nil {
					s.done, s.unsent = true, nil
				}
			})
		}
		if err != nil {
			return
		}
	}
}

func (c *rawConn) reply(write func() error) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return write()
}

// lost notes that the connection is over.
func (c *rawConn) lost() {
	c.change(func() {
		if !c.over {
			c.over = true
			close(c.ended)
		}
	})
}

// all returns the calls in the order in which they began.
func (c *rawConn) all() []*rawStream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(maps.Values(c.streams), func(a, b *rawStream) int { return cmp.Compare(a.id, b.id) })
}

// only returns the one call of the connection.
func (c *rawConn) only() *rawStream { return c.all()[0] }

// await waits until a call has its answer, or its connection is over.
func (c *rawConn) await(t *testing.T, s *rawStream) {
	t.Helper()
	for timeout := time.After(patience); ; {
		c.mu.Lock()
		done, changed := s.done || c.over, c.changed
		c.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("the call of %s was not answered", c.calls.Method)
		}
	}
}

// answered returns the first message of an answer, decompressed, and whether it was compressed.
func (s *rawStream) answered(t *testing.T, m proto.Message) (compressed bool) {
	t.Helper()
	if len(s.body) < 5 || len(s.body) < 5+int(binary.BigEndian.Uint32(s.body[1:])) {
		t.Fatalf("got %d bytes, want a message; header and trailer: %v", len(s.body), s.header)
	}
	body := s.body[5:][:binary.BigEndian.Uint32(s.body[1:])]
	if compressed = s.body[0] == 1; compressed {
		r, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body, err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := proto.Unmarshal(body, m); err != nil {
		t.Fatal(err)
	}
	return compressed
}

// sentBytes returns how many bytes of requests have been sent.
func (c *rawConn) sentBytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent
}

// local returns the address by which the peer knows the client.
func (c *rawConn) local() string { return c.socket.LocalAddr().String() }

// cancel resets every call and keeps the connection, as a grpc client does when a deadline has passed.
func (c *rawConn) cancel() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	ids := slices.Sorted(maps.Keys(c.streams))
	clear(c.streams)
	c.mu.Unlock()
	var errs []error
	for _, id := range ids {
		errs = append(errs, c.framer.WriteRSTStream(id, http2.ErrCodeCancel))
	}
	return errors.Join(errs...)
}

// reset resets the TCP connection: the data in its buffers is lost, and the peer gets no GOAWAY.
func (c *rawConn) reset() {
	_ = c.socket.SetLinger(0) // It fails if the connection is over already.
	c.close()
}

// close closes the socket without ending HTTP/2 or TLS, and waits for the goroutines of the connection.
func (c *rawConn) close() {
	_ = c.socket.Close() // It may be closed already.
	c.lost()
	c.running.Wait()
}

// rawClient is a program that a test can kill. It begins the calls in its argument, prints "begun", and
// exits with all of them open when its standard input ends.
func rawClient() {
	var calls rawCalls
	if err := json.Unmarshal([]byte(os.Args[1]), &calls); err != nil {
		fmt.Fprintln(os.Stdout, err)
		return
	}
	if _, err := calls.begin(context.Background()); err != nil {
		fmt.Fprintln(os.Stdout, err)
		return
	}
	fmt.Fprintln(os.Stdout, "begun")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// rawProcess is a running rawClient.
type rawProcess struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

// startProcess is start in a separate process, which ends with the test.
func (r rawCalls) startProcess(t *testing.T) *rawProcess {
	t.Helper()
	order, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	p := &rawProcess{cmd: exec.CommandContext(t.Context(), "rawclient", string(order))} // see TestMain
	stdin, inErr := p.cmd.StdinPipe()
	stdout, outErr := p.cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, p.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	t.Cleanup(func() { _ = p.cmd.Wait() }) // It was killed.
	if said, err := bufio.NewReader(stdout).ReadString('\n'); said != "begun\n" {
		t.Fatalf("the client printed %q: %v", said, err)
	}
	return p
}
