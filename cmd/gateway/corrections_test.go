package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	driversv1 "samsara.internal/gateway/gen/drivers/v1"
	"samsara.internal/gateway/internal/testenv"
)

// scripted is an upstream that gives every request the same answer, and keeps the last request line.
type scripted struct {
	answer string

	mu   sync.Mutex
	line string // method, path, and the query by name
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.line = r.Method + " " + r.URL.Path
	if query := r.URL.Query(); len(query) > 0 {
		s.line += "?" + query.Encode()
	}
	s.mu.Unlock()
	answerWith(http.StatusOK, s.answer)(w, r)
}

// asked returns the line of the last request.
func (s *scripted) asked() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.line
}

// callJSON calls a method of a service with a request in JSON. It returns the reply as JSON, and the drift
// in the trailer.
func callJSON(t *testing.T, conn *grpc.ClientConn, method, request string) (reply string, drift []string) {
	t.Helper()
	descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.ReplaceAll(method, "/", ".")))
	if err != nil {
		t.Fatal(err)
	}
	message := func(md protoreflect.MessageDescriptor) proto.Message {
		mt, err := protoregistry.GlobalTypes.FindMessageByName(md.FullName())
		if err != nil {
			t.Fatal(err)
		}
		return mt.New().Interface()
	}
	md, ok := descriptor.(protoreflect.MethodDescriptor)
	if !ok {
		t.Fatalf("%s is not a method", method)
	}
	in, out := message(md.Input()), message(md.Output())
	if err := protojson.Unmarshal([]byte(request), in); err != nil {
		t.Fatal(err)
	}
	var trailer metadata.MD
	if err := conn.Invoke(t.Context(), "/"+method, in, out, grpc.Trailer(&trailer)); err != nil {
		t.Fatal(err)
	}
	text, err := protojson.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), trailer.Get("samsara-drift")
}

func parseJSON(t *testing.T, text string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return value
}

// TestCorrections_sentAndRead checks, for every correction of a shape or a parameter, that the gateway
// sends and reads what Samsara does.
func TestCorrections_sentAndRead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method, request string
		line            string
		answer, want    string
		drift           string
	}{
		"a sensor's reading keeps its index": {
			method:  "samsara_gateway.legacy.v1.LegacyService/GetSensorsHistory",
			request: `{"fillMissing": "withNull", "startMs": "1", "endMs": "4", "stepMs": "1", "series": [{"field": "ambientTemperature", "widgetId": "1"}, {"field": "probeTemperature", "widgetId": "2"}]}`,
			line:    "POST /v1/sensors/history",
			answer: `{"results": [{"timeMs": 1, "series": [null, 21500]}, {"timeMs": 2, "series": [4250, null]},
				{"timeMs": 3, "series": [null, null]}, {"timeMs": 4, "series": [4300, 0]}]}`,
			want: `{"results": [{"timeMs": "1", "series": [{}, {"value": "21500"}]}, {"timeMs": "2", "series": [{"value": "4250"}, {}]},
				{"timeMs": "3", "series": [{}, {}]}, {"timeMs": "4", "series": [{"value": "4300"}, {"value": "0"}]}]}`,
		},
		"a driver has hosSetting": {
			method: "samsara_gateway.drivers.v1.DriversService/GetDriver", request: `{"id": "1001"}`,
			line:   "GET /fleet/drivers/1001",
			answer: `{"data": {"id": "1001", "name": "A", "hosSetting": {"heavyHaulExemptionToggleEnabled": true}}}`,
			want:   `{"data": {"id": "1001", "name": "A", "hosSetting": {"heavyHaulExemptionToggleEnabled": true}}}`,
		},
		"listed drivers have hosSetting": {
			method: "samsara_gateway.drivers.v1.DriversService/ListDrivers", request: `{}`,
			line:   "GET /fleet/drivers",
			answer: `{"data": [{"id": "1001", "hosSetting": {"heavyHaulExemptionToggleEnabled": false}}], "pagination": {"endCursor": "", "hasNextPage": false}}`,
			want:   `{"data": [{"id": "1001", "hosSetting": {"heavyHaulExemptionToggleEnabled": false}}], "pagination": {"endCursor": "", "hasNextPage": false}}`,
		},
		"a tiny vehicle has externalIds": {
			method: "samsara_gateway.hours_of_service.v1.HoursOfServiceService/ListHosClocks", request: `{}`,
			line:   "GET /fleet/hos/clocks",
			answer: `{"data": [{"currentVehicle": {"id": "1", "externalIds": {"vin": "V"}}}], "pagination": {"endCursor": "", "hasNextPage": false}}`,
			want:   `{"data": [{"currentVehicle": {"id": "1", "externalIds": {"vin": "V"}}}], "pagination": {"endCursor": "", "hasNextPage": false}}`,
		},
		"locations of an asset are an array": {
			method: "samsara_gateway.legacy.v1.LegacyService/GetAssetLocation", request: `{"asset_id": "7", "startMs": "1", "endMs": "2"}`,
			line:   "GET /v1/fleet/assets/7/locations?endMs=2&startMs=1",
			answer: `[{"latitude": 37.5, "time": 1}, {"latitude": 38, "time": 2}]`,
			want:   `{"locations": [{"latitude": 37.5, "time": 1}, {"latitude": 38, "time": 2}]}`,
		},
		"locations of an asset are in an object": {
			method: "samsara_gateway.legacy.v1.LegacyService/GetAssetLocation", request: `{"asset_id": "7", "startMs": "1", "endMs": "2"}`,
			line:   "GET /v1/fleet/assets/7/locations?endMs=2&startMs=1",
			answer: `{"locations": [{"latitude": 37.5, "time": 1}, {"latitude": 38, "time": 2}]}`,
			want:   `{"locations": [{"latitude": 37.5, "time": 1}, {"latitude": 38, "time": 2}]}`,
		},
		"ids of work order templates are repeated": {
			method: "samsara_gateway.maintenance.v1.MaintenanceService/ListWorkOrderTemplates", request: `{"ids": ["a", "b,c"]}`,
			line:   "GET /maintenance/work-order-templates?ids=a&ids=b%2Cc",
			answer: `{"data": [], "pagination": {"endCursor": "", "hasNextPage": false}}`,
			want:   `{"pagination": {"endCursor": "", "hasNextPage": false}}`,
		},
		"stats of vehicles are limited": {
			method: "samsara_gateway.vehicle_stats.v1.VehicleStatsService/ListVehicleStats", request: `{"types": ["gps"], "limit": "512"}`,
			line:   "GET /fleet/vehicles/stats?limit=512&types=gps",
			answer: `{"data": [], "pagination": {"endCursor": "", "hasNextPage": false}}`,
			want:   `{"pagination": {"endCursor": "", "hasNextPage": false}}`,
		},
		"a feed of stats of vehicles is limited": {
			method: "samsara_gateway.vehicle_stats.v1.VehicleStatsService/ListVehicleStatsFeed", request: `{"types": ["gps"], "limit": "1"}`,
			line:   "GET /fleet/vehicles/stats/feed?limit=1&types=gps",
			answer: `{"data": [], "pagination": {"endCursor": "", "hasNextPage": false}}`,
			want:   `{"pagination": {"endCursor": "", "hasNextPage": false}}`,
		},
		"past stats of vehicles are limited": {
			method: "samsara_gateway.vehicle_stats.v1.VehicleStatsService/ListVehicleStatsHistory", request: `{"types": ["gps"], "startTime": "a", "endTime": "b", "limit": "1"}`,
			line:   "GET /fleet/vehicles/stats/history?endTime=b&limit=1&startTime=a&types=gps",
			answer: `{"data": [], "pagination": {"endCursor": "", "hasNextPage": false}}`,
			want:   `{"pagination": {"endCursor": "", "hasNextPage": false}}`,
		},
		"sessions of voice agents are a list": {
			method: "samsara_gateway.agent_studio.v1.AgentStudioService/ListVoiceSessions", request: `{"startTime": "a"}`,
			line:   "GET /agent-studio/voice-sessions/stream?startTime=a",
			answer: `{"data": [], "pagination": {"endCursor": "", "hasNextPage": false}}`,
			want:   `{"pagination": {"endCursor": "", "hasNextPage": false}}`,
		},
		"elsewhere a null entry is left out, and counted": {
			method: "samsara_gateway.drivers.v1.DriversService/ListDrivers", request: `{}`,
			line:   "GET /fleet/drivers",
			answer: `{"data": [null, {"id": "1", "tags": [null, null]}], "pagination": {"endCursor": "", "hasNextPage": false}}`,
			want:   `{"data": [{"id": "1"}], "pagination": {"endCursor": "", "hasNextPage": false}}`,
			drift:  "ListDriversResponse.data=null_entry, Driver.tags=null_entry;n=2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			samsara := &scripted{answer: test.answer}
			conn, _ := connectBefore(t, samsara)
			got, found := callJSON(t, conn, test.method, test.request)
			if diff := cmp.Diff(parseJSON(t, test.want), parseJSON(t, got)); diff != "" {
				t.Errorf("reply (-want +got):\n%s", diff)
			}
			if got := strings.Join(found, ", "); got != test.drift {
				t.Errorf("drift %q, want %q", got, test.drift)
			}
			if asked := samsara.asked(); asked != test.line {
				t.Errorf("the gateway asked for %s, want %s", asked, test.line)
			}
		})
	}
}

// Voice sessions come newest first, so their last page does not lead on to newer ones.
func TestCorrections_voiceSessionsAreNoFeed(t *testing.T) {
	t.Parallel()
	const service = "samsara_gateway.agent_studio.v1.AgentStudioService"
	conn, _ := connectBefore(t, &scripted{answer: "{}"})
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/"+service+"/FollowVoiceSessions")
	if err == nil {
		err = stream.CloseSend()
	}
	if err == nil {
		err = stream.RecvMsg(&driversv1.ListDriversResponse{})
	}
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("FollowVoiceSessions: %v, want %s", err, codes.Unimplemented)
	}
}

// TestTime_listDriversWithinItsLimit has 20 callers list drivers before a Samsara that enforces 5 requests
// a second, a limit that its document does not state.
func TestTime_listDriversWithinItsLimit(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	const (
		callers  = 20
		requests = 5
		deadline = time.Minute // ten times as long as a caller waits for its turn
	)
	var (
		mu        sync.Mutex
		admitted  []time.Time
		arrived   int
		throttled int
	)
	flag, _ := margin(t)
	conn, _ := connectBefore(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		arrived++
		now := time.Now()
		for len(admitted) > 0 && now.Sub(admitted[0]) >= time.Second {
			admitted = admitted[1:]
		}
		if len(admitted) >= requests {
			throttled++
			w.Header().Set("Retry-After", fmt.Sprintf("%.3f", (time.Second-now.Sub(admitted[0])).Seconds()))
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		admitted = append(admitted, now)
		_, _ = io.WriteString(w, `{"data": [], "pagination": {"endCursor": "", "hasNextPage": false}}`) // As above.
	}), flag)
	var (
		running  sync.WaitGroup
		calls    int
		failures = map[string]int{}
	)
	end := time.Now().Add(overloadTime(t, 8))
	for n := range int32(callers) {
		running.Go(func() {
			request := &driversv1.ListDriversRequest{Limit: proto.Int32(n + 1)} // Each is different, so that none shares an answer.
			for time.Now().Before(end) {
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				_, err := driversv1.NewDriversServiceClient(conn).ListDrivers(ctx, request)
				cancel()
				mu.Lock()
				calls++
				if err != nil {
					failures[status.Convert(err).String()]++
				}
				mu.Unlock()
			}
		})
	}
	running.Wait()
	failed := 0
	for _, n := range failures {
		failed += n
	}
	t.Logf("%d of %d upstream requests were answered 429, %d of %d calls failed", throttled, arrived, failed, calls)
	if throttled > 0 || failed > 0 || calls < callers {
		t.Errorf("want no 429, no failure and at least %d calls; failures: %v", callers, failures)
	}
}
