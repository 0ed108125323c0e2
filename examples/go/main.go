// Example is a client of samsara-gateway in Go: see ../README.md for what it shows.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	_ "google.golang.org/grpc/health" // Without it the health check of the service config is off.
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"

	addressesv1 "samsara.internal/gateway/gen/addresses/v1"
	apiv1 "samsara.internal/gateway/gen/api/v1"
	contactsv1 "samsara.internal/gateway/gen/contacts/v1"
	locationandspeedv1 "samsara.internal/gateway/gen/location_and_speed/v1"
	readingsv1 "samsara.internal/gateway/gen/readings/v1"
	tagsv1 "samsara.internal/gateway/gen/tags/v1"
	vehiclesv1 "samsara.internal/gateway/gen/vehicles/v1"
)

const (
	// deadline is how long a call may take. Every call has one.
	deadline = 10 * time.Second
	// maxMessageBytes is how large an answer may be. The gateway sends larger ones than gRPC's default of 4 MiB.
	maxMessageBytes = 64 << 20
	// records is how many of a feed are read.
	records = 60
	// id is that of the first vehicle and of the first contact in the sandbox.
	id = "281474976710657"
)

// serviceConfig is the one that docs/calling.md recommends: calls wait for a gateway, go to all replicas that are
// healthy, and are repeated if no gateway has begun with them.
const serviceConfig = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"healthCheckConfig": {"serviceName": ""},
	"methodConfig": [{
		"name": [{}],
		"waitForReady": true,
		"retryPolicy": {
			"maxAttempts": 3, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2,
			"retryableStatusCodes": ["UNAVAILABLE"]
		}
	}],
	"retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1}
}`

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	conn, err := dial(os.Getenv("GATEWAY"), insecure.NewCredentials())
	if err != nil {
		return err
	}
	defer conn.Close()
	feed, err := dial(os.Getenv("GATEWAY_FEED"), insecure.NewCredentials())
	if err != nil {
		return err
	}
	defer feed.Close()
	replicas, err := dial(os.Getenv("GATEWAY_REPLICAS"), insecure.NewCredentials())
	if err != nil {
		return err
	}
	defer replicas.Close()
	authority, err := credentials.NewClientTLSFromFile(os.Getenv("GATEWAY_CA"), "")
	if err != nil {
		return err
	}
	secured, err := dial(os.Getenv("GATEWAY_TLS"), authority)
	if err != nil {
		return err
	}
	defer secured.Close()
	for _, step := range []struct {
		name string
		show func(*grpc.ClientConn) error
		conn *grpc.ClientConn
	}{
		{"list", list, conn},
		{"follow", follow, feed},
		{"restarts", restarts, replicas},
		{"quota", quota, conn},
		{"argument", argument, conn},
		{"null", null, conn},
		{"value", value, conn},
		{"int64", wholeNumber, conn},
		{"drift", drift, conn},
		{"retries", retries, conn},
		{"deadline", late, conn},
		{"tls", secure, secured},
		{"gzip", compressed, conn},
		{"leave", leave, conn},
	} {
		if err := step.show(step.conn); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// dial returns a connection. It is made when it is first needed, and made anew when it is lost.
func dial(address string, creds credentials.TransportCredentials) (*grpc.ClientConn, error) {
	return grpc.NewClient(address, grpc.WithTransportCredentials(creds), grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes)))
}

func bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), deadline)
}

// withFault makes the sandbox misbehave in the calls of a context. Samsara itself never sees it.
func withFault(ctx context.Context, fault string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "samsara-sandbox-fault", fault)
}

// detail returns the detail of a type that an error carries, nil if it carries none.
func detail[T proto.Message](err error) T {
	for _, d := range status.Convert(err).Details() {
		if d, ok := d.(T); ok {
			return d
		}
	}
	var none T
	return none
}

// list reads all vehicles. The gateway reads the pages, and each is a message.
func list(conn *grpc.ClientConn) error {
	ctx, cancel := bounded()
	defer cancel()
	stream, err := vehiclesv1.NewVehiclesServiceClient(conn).StreamVehicles(ctx, &vehiclesv1.StreamVehiclesRequest{
		Request: &vehiclesv1.ListVehiclesRequest{Limit: proto.Int32(5)},
	})
	if err != nil {
		return err
	}
	vehicles, pages := 0, 0
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		vehicles, pages = vehicles+len(message.GetPage().GetData()), pages+1
	}
	fmt.Printf("list: %d vehicles in %d pages\n", vehicles, pages)
	return nil
}

// follow reads a feed. When a stream fails, the next one goes on behind the last message that was dealt with.
func follow(conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client := locationandspeedv1.NewLocationAndSpeedServiceClient(conn)
	// A cursor belongs to its request: all streams ask the same.
	request := &locationandspeedv1.ListLocationAndSpeedRequest{
		Ids:       []string{id},
		Limit:     proto.Int32(10),
		StartTime: proto.String(time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)),
	}
	// A service keeps the cursor where it keeps what it has made of the records.
	var cursor *string
	seen, twice := make(map[string]bool), 0

	read := func() error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel() // It ends the stream, which goes on for ever. To read no further does not.
		stream, err := client.FollowLocationAndSpeed(ctx, &locationandspeedv1.FollowLocationAndSpeedRequest{
			Request: request, Options: &apiv1.FollowOptions{FromCursor: cursor},
		})
		if err != nil {
			return err
		}
		for first := true; len(seen) < records; first = false {
			message, err := stream.Recv()
			if err != nil {
				return err
			}
			if first {
				fmt.Fprintln(os.Stderr, "follow begins")
			}
			if message.GetPage() == nil {
				continue // a keep-alive
			}
			for _, record := range message.GetPage().GetData() {
				if seen[record.GetHappenedAtTime()] {
					twice++
				}
				seen[record.GetHappenedAtTime()] = true
			}
			cursor = message.Cursor
		}
		return nil
	}

	lost := false
	for len(seen) < records {
		if err := read(); status.Code(err) == codes.Unavailable {
			lost = true
		} else if err != nil {
			return err
		}
	}
	fmt.Printf("follow: %d records, %d of them twice, the gateway was lost: %t\n", len(seen), twice, lost)
	return nil
}

// restarts calls without a pause until standard input ends. Meanwhile one replica after the other is restarted. No call
// fails, thanks to the service config.
func restarts(conn *grpc.ClientConn) error {
	client := contactsv1.NewContactsServiceClient(conn)
	call := func() error {
		ctx, cancel := bounded()
		defer cancel()
		_, err := client.GetContact(withFault(ctx, "latency=50ms"), &contactsv1.GetContactRequest{Id: proto.String(id)})
		return err
	}
	if err := call(); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "restarts begin")
	var calls, failed atomic.Int64
	var ended atomic.Bool
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for !ended.Load() {
				err := call()
				calls.Add(1)
				if err != nil && failed.Add(1) == 1 {
					fmt.Fprintln(os.Stderr, err)
				}
			}
		})
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	ended.Store(true)
	callers.Wait()
	fmt.Fprintf(os.Stderr, "restarts: %d calls\n", calls.Load())
	fmt.Printf("restarts: %d calls failed\n", failed.Load())
	return err
}

// quota is refused, and told when to call again: later than the deadline, so the gateway does not wait.
func quota(conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := contactsv1.NewContactsServiceClient(conn).GetContact(withFault(ctx, "status=429; retry-after=30"),
		&contactsv1.GetContactRequest{Id: proto.String(id)})
	info, retry := detail[*errdetails.ErrorInfo](err), detail[*errdetails.RetryInfo](err)
	if status.Code(err) != codes.ResourceExhausted || info == nil || retry == nil {
		return fmt.Errorf("want RESOURCE_EXHAUSTED with ErrorInfo and RetryInfo, got %v", err)
	}
	fmt.Printf("quota: %s, %s, call again in %.0f s\n",
		code.Code(status.Code(err)), info.GetReason(), retry.GetRetryDelay().AsDuration().Seconds())
	return nil
}

// argument lacks what the method requires. The gateway names each field, before it asks Samsara.
func argument(conn *grpc.ClientConn) error {
	ctx, cancel := bounded()
	defer cancel()
	_, err := contactsv1.NewContactsServiceClient(conn).UpdateContact(ctx, &contactsv1.UpdateContactRequest{FirstName: proto.String("Ada")})
	violations := detail[*errdetails.BadRequest](err).GetFieldViolations()
	if len(violations) == 0 {
		return fmt.Errorf("want BadRequest, got %v", err)
	}
	fmt.Printf("argument: %s: %s\n", violations[0].GetField(), violations[0].GetDescription())
	return nil
}

// null removes a value: what is in the mask and not set is sent as null.
func null(conn *grpc.ClientConn) error {
	ctx, cancel := bounded()
	defer cancel()
	response, err := contactsv1.NewContactsServiceClient(conn).UpdateContact(ctx, &contactsv1.UpdateContactRequest{
		Id: proto.String(id), UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"phone"}},
	})
	if err != nil {
		return err
	}
	if phone := response.GetData().Phone; phone != nil { // GetPhone would not tell an empty one from none.
		return fmt.Errorf("contact %s has the phone %q", id, *phone)
	}
	fmt.Printf("null: contact %s has no phone\n", response.GetData().GetId())
	return nil
}

// value sends a value of any form, and reads it.
func value(conn *grpc.ClientConn) error {
	ctx, cancel := bounded()
	defer cancel()
	client := readingsv1.NewReadingsServiceClient(conn)
	doors, err := structpb.NewValue(map[string]any{"open": true, "levels": []any{1, 2.5, nil}})
	if err != nil {
		return err
	}
	if _, err := client.CreateReadings(ctx, &readingsv1.CreateReadingsRequest{Data: []*readingsv1.ReadingDatapoint{{
		EntityType: proto.String("asset"), EntityId: proto.String(id), ReadingId: proto.String("doors"),
		HappenedAtTime: proto.String(time.Now().UTC().Format(time.RFC3339)), Value: doors,
	}}}); err != nil {
		return err
	}
	response, err := client.ListReadingsSnapshot(ctx, &readingsv1.ListReadingsSnapshotRequest{
		EntityType: proto.String("asset"), EntityIds: []string{id}, ReadingIds: []string{"doors"},
	})
	if err != nil {
		return err
	}
	if len(response.GetData()) != 1 {
		return fmt.Errorf("want one reading, got %d", len(response.GetData()))
	}
	members := response.GetData()[0].GetValue().GetStructValue().GetFields()
	fmt.Printf("value: open is %t, levels has %d values\n", members["open"].GetBoolValue(), len(members["levels"].GetListValue().GetValues()))
	return nil
}

// wholeNumber sends a number that a float64 does not hold, 2^53 + 1, and reads it.
func wholeNumber(conn *grpc.ClientConn) error {
	ctx, cancel := bounded()
	defer cancel()
	response, err := addressesv1.NewAddressesServiceClient(conn).CreateAddress(ctx, &addressesv1.CreateAddressRequest{
		Name: proto.String("Yard"), FormattedAddress: proto.String("1 Main Street, Springfield"),
		Geofence: &addressesv1.AddressGeofence{Circle: &addressesv1.AddressGeofenceCircle{RadiusMeters: proto.Int64(1<<53 + 1)}},
	})
	if err != nil {
		return err
	}
	fmt.Printf("int64: %d\n", response.GetData().GetGeofence().GetCircle().GetRadiusMeters())
	return nil
}

// drift gets an answer with a member that its message does not have. The call succeeds, and the trailer tells.
func drift(conn *grpc.ClientConn) error {
	ctx, cancel := bounded()
	defer cancel()
	var trailer metadata.MD
	_, err := vehiclesv1.NewVehiclesServiceClient(conn).GetVehicle(withFault(ctx, "drift"),
		&vehiclesv1.GetVehicleRequest{Id: proto.String(id)}, grpc.Trailer(&trailer))
	if err != nil {
		return err
	}
	told := trailer.Get("samsara-drift")
	if len(told) != 1 {
		return fmt.Errorf("want samsara-drift once in the trailer, got %q", told)
	}
	fmt.Printf("drift: %s\n", told[0])
	return nil
}

// retries fails twice at Samsara. The gateway repeats it, and the header tells how often it asked.
func retries(conn *grpc.ClientConn) error {
	ctx, cancel := bounded()
	defer cancel()
	var header metadata.MD
	_, err := contactsv1.NewContactsServiceClient(conn).GetContact(withFault(ctx, "status=503; first=2"),
		&contactsv1.GetContactRequest{Id: proto.String(id)}, grpc.Header(&header))
	if err != nil {
		return err
	}
	attempts := header.Get("samsara-attempts")
	if len(attempts) != 1 {
		return fmt.Errorf("want samsara-attempts once in the header, got %q", attempts)
	}
	fmt.Printf("retries: %s attempts\n", attempts[0])
	return nil
}

// late ends at its deadline, although Samsara would answer later.
func late(conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	_, err := contactsv1.NewContactsServiceClient(conn).GetContact(withFault(ctx, "latency=5s"),
		&contactsv1.GetContactRequest{Id: proto.String(id)})
	if status.Code(err) != codes.DeadlineExceeded {
		return fmt.Errorf("want DEADLINE_EXCEEDED, got %v", err)
	}
	fmt.Printf("deadline: %s\n", code.Code(status.Code(err)))
	return nil
}

// secure calls a server whose certificate is of the authority that the connection knows.
func secure(conn *grpc.ClientConn) error {
	n, err := tags(conn)
	if err != nil {
		return err
	}
	fmt.Printf("tls: %d tags\n", n)
	return nil
}

// compressed sends its request compressed, and the answer comes so.
func compressed(conn *grpc.ClientConn) error {
	n, err := tags(conn, grpc.UseCompressor(gzip.Name))
	if err != nil {
		return err
	}
	fmt.Printf("gzip: %d tags\n", n)
	return nil
}

// tags returns how many tags there are, if one page has all of them.
func tags(conn *grpc.ClientConn, options ...grpc.CallOption) (int, error) {
	ctx, cancel := bounded()
	defer cancel()
	response, err := tagsv1.NewTagsServiceClient(conn).ListTags(ctx, &tagsv1.ListTagsRequest{Limit: proto.Int32(512)}, options...)
	return len(response.GetData()), err
}

// leave reads one page of several. To cancel the context is what ends the call: without it the gateway keeps the
// stream, and the page that it has read ahead, until the deadline.
func leave(conn *grpc.ClientConn) error {
	ctx, cancel := bounded()
	defer cancel()
	stream, err := tagsv1.NewTagsServiceClient(conn).StreamTags(ctx, &tagsv1.StreamTagsRequest{
		Request: &tagsv1.ListTagsRequest{Limit: proto.Int32(2)},
	})
	if err != nil {
		return err
	}
	if _, err := stream.Recv(); err != nil {
		return err
	}
	cancel()
	fmt.Println("leave: left after 1 page")
	return nil
}
