package http1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// readBufferBytes holds a header and a small body, which then take one system call.
	readBufferBytes = 4 << 10
	// atOnceBytes is how long a request may be that is written before its response is read. It is less
	// than any socket buffers, so that the write does not wait for the server to read.
	atOnceBytes = 16 << 10
	// lastWords is how long a response may take after the write of its request has failed.
	lastWords = time.Second
)

var (
	errHeaderTooLarge = errors.New("response header exceeds its limit")
	// errNotTaken means that the server gave up the connection before it received the request.
	errNotTaken = errors.New("server gave up the idle connection with 408")
	errNotQuiet = errors.New("server closed the connection, or sent data, before there was a request")
)

// conn is a connection. It has one owner at a time: the pool, or an exchange.
type conn struct {
	transport *Transport
	socket    *socket       // below TLS
	stream    net.Conn      // socket, or TLS above it
	reader    *bufio.Reader // of conn itself, which bounds headers
	interrupt func()        // ends every wait for the peer

	idleSince time.Time
	reused    bool
	wrote     int   // bytes of the request
	read      int64 // bytes of the response
	readable  int64 // bytes that may be read until a header is too large
	look      [1]byte
	// line has the first bytes of the response that is being read. known is how many have been read.
	line  [len("HTTP/1.1 200 ")]byte
	known int
}

// Read implements io.Reader.
func (c *conn) Read(p []byte) (int, error) {
	if c.readable <= 0 {
		return 0, c.tooLarge()
	}
	n, err := c.stream.Read(p[:min(int64(len(p)), c.readable)])
	c.read += int64(n)
	c.readable -= int64(n)
	c.known += copy(c.line[c.known:], p[:n])
	return n, err
}

// beginResponse notes that a response begins with the next byte. The reader may have buffered some of it.
func (c *conn) beginResponse() {
	there, _ := c.reader.Peek(min(c.reader.Buffered(), len(c.line))) // this does not read
	c.known = copy(c.line[:], there)
}

// said returns the status of the response that is being read; 0 if the status is not known yet or is
// informational.
func (c *conn) said() int {
	line := string(c.line[:c.known])
	if len(line) < len(c.line) || line[:7] != "HTTP/1." || line[8] != ' ' || !strings.ContainsAny(line[12:], " \r\n") {
		return 0
	}
	status, err := strconv.Atoi(line[9:12])
	if err != nil || status < http.StatusOK {
		return 0
	}
	return status
}

func (c *conn) tooLarge() error {
	return fmt.Errorf("%w of %d bytes", errHeaderTooLarge, c.transport.cfg.MaxResponseHeaderBytes)
}

// quiet reports whether a connection without a request has nothing to read and has not ended, as far as
// the kernel knows. Bytes that have arrived would be taken for the response to the next request. Messages
// of TLS itself, such as session tickets, are read and leave the connection quiet.
func (c *conn) quiet() bool {
	n, err := c.socket.look(c.stream, c.look[:])
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.socket.records.whole()
}

// hangUp closes a connection that nobody uses, in the way that the peer expects.
func (c *conn) hangUp() { _ = c.stream.Close() }

// roundTrip makes one exchange. The connection becomes idle again, or is closed, when the response's body
// ends or when roundTrip fails.
func (c *conn) roundTrip(ctx context.Context, req *http.Request, head *[]byte) (*http.Response, error) {
	c.wrote, c.read, c.known = 0, 0, 0
	ex := &exchange{conn: c, ctx: ctx}
	// A deadline of the context ends the exchange in the same way as a cancellation.
	ex.stop = context.AfterFunc(ctx, c.interrupt)
	resp, err := ex.run(req, head)
	if err != nil {
		ex.finish(false)
		return nil, ended(ctx, err)
	}
	return resp, nil
}

// again reports whether an exchange that failed should be made again on a new connection: the server gave
// up this one before it received the request, or before it answered a request without side effects.
func (c *conn) again(ctx context.Context, req *http.Request, err error) bool {
	return c.reused && ctx.Err() == nil &&
		(c.wrote == 0 || replayable(req) && (c.read == 0 || errors.Is(err, errNotTaken)))
}

// exchange is one request and its response; it is also the response's body.
type exchange struct {
	conn *conn
	ctx  context.Context //nolint:containedctx // a body has no other way to learn why it broke
	stop func() bool
	// written is closed when a goroutine of its own has sent the request's body; nil if there is no
	// such goroutine.
	written chan struct{}
	// short is whether less than the body was sent. It may be read once written is closed.
	short bool
	keep  bool // the connection may be used again
	// bounded is whether EndIn has set a deadline of the socket.
	bounded bool

	body io.Reader // nil once the exchange is over
	err  error     // what Read returns after that
}

func (ex *exchange) run(req *http.Request, head *[]byte) (*http.Response, error) {
	if err := ex.send(req, head); err != nil {
		return nil, err
	}
	resp, err := ex.receive(req)
	if err != nil {
		return nil, err
	}
	if ex.conn.reused && resp.StatusCode == http.StatusRequestTimeout && resp.Close {
		return nil, errNotTaken
	}
	ex.keep = !resp.Close && !req.Close && resp.StatusCode >= http.StatusOK // nobody knows what follows an upgrade
	if resp.Body == http.NoBody || resp.StatusCode == http.StatusSwitchingProtocols {
		// The body after an upgrade is the connection, which may never end.
		resp.Body = http.NoBody
		ex.finish(true)
		return resp, nil
	}
	ex.body, resp.Body = resp.Body, ex
	return resp, nil
}

// send writes the request. A small one is one write; the body of a large one is written in the background.
func (ex *exchange) send(req *http.Request, head *[]byte) error {
	c := ex.conn
	if req.Body == nil {
		return c.write(*head)
	}
	if int64(len(*head))+req.ContentLength <= atOnceBytes {
		defer closeBody(req)
		start := len(*head)
		whole := slices.Grow(*head, int(req.ContentLength))[:start+int(req.ContentLength)]
		*head = whole[:start]
		if _, err := io.ReadFull(req.Body, whole[start:]); err != nil {
			return fmt.Errorf("read request body: %w", err)
		}
		return c.write(whole)
	}
	if err := c.write(*head); err != nil {
		closeBody(req)
		return err
	}
	ex.written = make(chan struct{})
	go func() {
		defer close(ex.written)
		defer closeBody(req)
		if _, err := io.CopyN(c.stream, req.Body, req.ContentLength); err != nil {
			// The server may have answered a request that it did not read to its end. That can still be
			// read, but nothing more will come.
			ex.short = true
			_ = c.socket.SetReadDeadline(time.Now().Add(lastWords))
		}
	}()
	return nil
}

func (c *conn) write(p []byte) error {
	n, err := c.stream.Write(p)
	c.wrote += n
	return err
}

// receive reads the header of the response.
func (ex *exchange) receive(req *http.Request) (*http.Response, error) {
	c := ex.conn
	c.readable = c.transport.cfg.MaxResponseHeaderBytes
	// ReadResponse does not tell the end of the connection from the end of a header.
	if _, err := c.reader.Peek(1); err != nil {
		return nil, fmt.Errorf("no response: %w", err)
	}
	for {
		c.beginResponse()
		resp, err := http.ReadResponse(c.reader, req)
		if err == nil {
			err = checkStatusLine(resp)
		}
		switch {
		case err != nil && c.readable <= 0: // The parser takes what came before the limit for a line.
			return nil, c.tooLarge()
		case err != nil:
			return nil, err
		}
		if resp.StatusCode/100 != 1 || resp.StatusCode == http.StatusSwitchingProtocols {
			c.readable = math.MaxInt64
			return resp, nil
		}
	}
}

// checkStatusLine returns why a response is not of HTTP/1. net/http accepts every version from HTTP/0.0
// to HTTP/9.9. A client of HTTP/1.1 can read a later minor version (RFC 9110, section 2.5).
func checkStatusLine(resp *http.Response) error {
	if resp.ProtoMajor != 1 {
		return fmt.Errorf("status line must be of HTTP/1, is of %q", resp.Proto)
	}
	return nil
}

// Read implements io.Reader for the response's body.
func (ex *exchange) Read(p []byte) (int, error) {
	if ex.body == nil {
		return 0, ex.err
	}
	n, err := ex.body.Read(p)
	if err == nil {
		return n, nil
	}
	whole := errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
	if !whole {
		err = ended(ex.ctx, err)
	}
	ex.err = err
	ex.finish(whole)
	return n, err
}

var errBodyClosed = errors.New("response body is closed")

// Close implements io.Closer. It closes the connection too if the body has not been read to its end.
func (ex *exchange) Close() error {
	if ex.body != nil {
		ex.err = errBodyClosed
		ex.finish(false)
	}
	return nil
}

// EndIn bounds how long the rest of the body may take from now on. After that, Read fails and closes the
// connection. EndIn is for the goroutine that reads.
func (ex *exchange) EndIn(d time.Duration) {
	if ex.body == nil {
		return
	}
	ex.bounded = true
	_ = ex.conn.socket.SetReadDeadline(time.Now().Add(d)) // If it fails, so does Read.
	if ex.ctx.Err() != nil {
		ex.conn.interrupt() // again: the deadline may have undone it
	}
}

// finish ends the exchange. whole is whether the response was read to its end.
func (ex *exchange) finish(whole bool) {
	c := ex.conn
	ex.body = nil
	// If the context has ended, the deadline is set or is about to be.
	undisturbed := ex.stop()
	if ex.written != nil {
		select {
		case <-ex.written:
			whole = whole && !ex.short
		default:
			whole = false
		}
	}
	if ex.bounded && undisturbed && c.socket.SetReadDeadline(time.Time{}) != nil {
		whole = false
	}
	if whole && undisturbed && ex.keep && c.reader.Buffered() == 0 {
		c.transport.idle.put(c)
		return
	}
	// Closing TLS would wait until the peer takes its close_notify.
	_ = c.socket.Close()
	if ex.written != nil {
		<-ex.written
	}
}
