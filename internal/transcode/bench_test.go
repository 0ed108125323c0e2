package transcode_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	vehiclestatsv1 "samsara.internal/gateway/gen/vehicle_stats/v1"
	"samsara.internal/gateway/internal/transcode"
)

// statsFeed returns a document of the vehicle stats feed of about the given size: times, ids,
// positions and counters, text with escapes and beyond ASCII, nulls, and one member a vehicle
// that the descriptor does not have.
func statsFeed(bytes int) []byte {
	var document strings.Builder
	document.WriteString(`{"data":[`)
	for i := 0; i == 0 || document.Len() < bytes; i++ {
		if i > 0 {
			document.WriteString(",")
		}
		fmt.Fprintf(&document, `{"id":"28147497%06d","name":"Truck %d – São Paulo","externalIds":{"samsara.serial":"GFRV43VG%04d","samsara.vin":"1FUJA6CV74DM%05d"},`, i, i, i%10000, i%100000)
		fmt.Fprintf(&document, `"gps":[{"time":"2026-11-22T08:%02d:%02d.123Z","latitude":37.%06d,"longitude":-122.%06d,"headingDegrees":%d.5,"speedMilesPerHour":48.3,"isEcuSpeed":true,"address":null,"reverseGeo":{"formattedLocation":"16 N Fair Oaks Ave\nPasadena, CA %05d"}}],`, i%60, i*7%60, i*7919%1000000, i*104729%1000000, i%360, i%100000)
		fmt.Fprintf(&document, `"engineStates":[{"time":"2026-11-22T08:%02d:00Z","value":"On"}],"fuelPercents":[{"time":"2026-11-22T08:00:00Z","value":%d}],"obdOdometerMeters":[{"time":"2026-11-22T08:00:01Z","value":%d}],`, i%60, i%101, 9723103+i)
		fmt.Fprintf(&document, `"brakePads":{"front":[%d,0.25,null],"state":"worn"}}`, i%10)
	}
	document.WriteString(`],"pagination":{"endCursor":"MjkY2","hasNextPage":true}}`)
	return []byte(document.String())
}

// ordered returns a document with the members of its objects in alphabetical order, which is the
// declared one nearly everywhere. That of statsFeed is not.
func ordered(b *testing.B, document []byte) []byte {
	b.Helper()
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		b.Fatal(err)
	}
	document, err := json.Marshal(value)
	if err != nil {
		b.Fatal(err)
	}
	return document
}

func BenchmarkDecode(b *testing.B) {
	d := decoder(b, (&vehiclestatsv1.ListVehicleStatsFeedResponse{}).ProtoReflect().Descriptor())
	for _, size := range []struct {
		name  string
		bytes int
	}{{"2KB", 1600}, {"50KB", 50_000}, {"1MB", 1_000_000}} {
		document := statsFeed(size.bytes)
		decode := func(b *testing.B, document []byte) {
			b.Helper()
			b.ReportAllocs()
			b.SetBytes(int64(len(document)))
			var drift transcode.Drift
			var wire []byte
			for b.Loop() {
				drift.Reset()
				var err error
				if wire, err = d.Append(wire[:0], document, &drift); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.Run(size.name+"/transcode", func(b *testing.B) { decode(b, document) })
		b.Run(size.name+"/transcode/ordered", func(b *testing.B) { decode(b, ordered(b, document)) })
		b.Run(size.name+"/protojson", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(document)))
			options := protojson.UnmarshalOptions{DiscardUnknown: true}
			var wire []byte
			for b.Loop() {
				var m vehiclestatsv1.ListVehicleStatsFeedResponse
				if err := options.Unmarshal(document, &m); err != nil {
					b.Fatal(err)
				}
				var err error
				if wire, err = (proto.MarshalOptions{}).MarshalAppend(wire[:0], &m); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(size.name+"/json.Valid", func(b *testing.B) {
			b.SetBytes(int64(len(document)))
			for b.Loop() {
				if !json.Valid(document) {
					b.Fatal("not JSON")
				}
			}
		})
		b.Run(size.name+"/Valid", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(document)))
			for b.Loop() {
				if err := transcode.Valid(document); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
