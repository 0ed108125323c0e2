// Example is a client of samsara-gateway in Go: see ../README.md for what it shows.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

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
	"google.golang.org/protobuf/types/known/durationpb"
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
	deadline = 10 * time.Second
	// maxMessageBytes is how large an answer may be. The gateway sends larger ones than gRPC's default of 4 MiB.
	maxMessageBytes = 64 << 20
	// records is how many of a feed are read.
	records = 60
)

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
	steps := []func() error{
		func() error { return list(conn) },
		func() error { return follow(feed) },
		func() error { return quota(conn) },
		func() error { return argument(conn) },
		func() error { return null(conn) },
		func() error { return value(conn) },
		func() error { return int64s(conn) },
		func() error { return retries(conn) },
		func() error { return late(conn) },
		tls,
		func() error { return compressed(conn) },
		func() error { return leave(conn) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// dial returns a connection. It is not made before it is needed, and made anew when it is lost.
func dial(address string, creds credentials.TransportCredentials) (*grpc.ClientConn, error) {
	return grpc.NewClient(address, grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes), grpc.WaitForReady(true)))
}

func bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), deadline)
}

// detail returns the detail of a type that an error carries, or the zero value.
func detail[T any](err error) (found T) {
	for _, d := range status.Convert(err).Details() {
		if d, ok := d.(T); ok {
			return d
		}
	}
	return found
}

// list reads all vehicles. The gateway reads the pages.
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

// follow reads a feed. When the stream fails it goes on behind the last message that was dealt with.
func follow(conn *grpc.ClientConn) error {
	client := locationandspeedv1.NewLocationAndSpeedServiceClient(conn)
	// A service keeps the cursor where it keeps what it has made of the records.
	var cursor *string
	seen := make(map[string]bool)
	twice, lost := 0, 0
	for len(seen) < records {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		stream, err := client.FollowLocationAndSpeed(ctx, &locationandspeedv1.FollowLocationAndSpeedRequest{
			Request: &locationandspeedv1.ListLocationAndSpeedRequest{
				Ids: []string{"281474976710657"}, Limit: proto.Int32(10),
				StartTime: proto.String(time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)),
			},
			Options: &apiv1.FollowOptions{FromCursor: cursor, PollInterval: durationpb.New(5 * time.Second)},
		})
		for err == nil && len(seen) < records {
			var message *locationandspeedv1.FollowLocationAndSpeedResponse
			if message, err = stream.Recv(); err != nil {
				break
			}
			for _, record := range message.GetPage().GetData() {
				at := record.GetHappenedAtTime()
				if seen[at] {
					twice++
				}
				seen[at] = true
			}
			first := cursor == nil
			cursor = proto.String(message.GetCursor())
			if first {
				fmt.Fprintln(os.Stderr, "follow begins")
			}
		}
		cancel() // It ends the stream: to stop reading it does not.
		if err != nil {
			if status.Code(err) != codes.Unavailable {
				return err
			}
			lost++
		}
	}
	fmt.Printf("follow: %d records, %d of them twice, the gateway was lost: %t\n", records, twice, lost > 0)
	return nil
}
