package sandbox_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/sandbox"
)

func TestRequests_readStrictly(t *testing.T) {
	t.Parallel()
	const (
		vehicle = "/fleet/vehicles/" + knownID
		address = `{"name":"Depot","formattedAddress":"1 Road","geofence":{"circle":{"radiusMeters":25}}}`
	)
	tests := map[string]struct {
		line, body string
		headers    []string
		status     int
		message    string // part of the error's message; empty on success
	}{
		"a known path and verb succeed":             {line: "GET " + vehicle, status: 200},
		"an unknown path is 404":                    {line: "GET /fleet/spaceships", status: 404, message: "no such path"},
		"a path below a known one is 404":           {line: "GET " + vehicle + "/wheels", status: 404, message: "no such path"},
		"a trailing slash is 404":                   {line: "GET /fleet/vehicles/", status: 404, message: "no such path"},
		"a double slash is 404":                     {line: "GET //fleet/vehicles", status: 404, message: "no such path"},
		"a wrong verb is 405":                       {line: "DELETE /fleet/vehicles", status: 405, message: "DELETE is not accepted here"},
		"a literal segment wins over a name":        {line: "GET /fleet/vehicles/stats?types=gps", status: 200},
		"an unknown id is 404":                      {line: "GET /fleet/vehicles/1", status: 404, message: `id: "1" is not known`},
		"an unknown id on the way is 404":           {line: "GET /functions/nothing/runs/" + knownID, status: 404, message: "nothing"},
		"a path escaped twice is another id":        {line: "GET /fleet/vehicles/erpId%253Avehicle-3", status: 404, message: "not known"},
		"an external id finds its record":           {line: "GET /fleet/vehicles/erpId:vehicle-3", status: 200},
		"an escaped external id finds its record":   {line: "GET /fleet/vehicles/samsara.vin%3A1SBX8EAT0PJ000003", status: 200},
		"an unknown external id is 404":             {line: "GET /fleet/vehicles/erpId:vehicle-300", status: 404, message: "not known"},
		"a whole number in a path is one":           {line: "GET /v1/fleet/trailers/x1/assignments", status: 400, message: "trailerId: must be a whole number"},
		"an unknown parameter is refused":           {line: "GET /fleet/vehicles?colour=red", status: 400, message: "colour: unknown query parameter"},
		"a missing parameter is refused":            {line: "GET /fleet/vehicles/stats", status: 400, message: "types: is required"},
		"an empty required parameter is refused":    {line: "GET /fleet/vehicles/stats?types=", status: 400, message: "types: is required"},
		"an empty optional parameter is not sent":   {line: "GET /fleet/vehicles?tagIds=&after=", status: 200},
		"every problem is named":                    {line: "GET /fleet/vehicles/stats?a=1&b=2", status: 400, message: "a: unknown query parameter; b: unknown query parameter; types: is required"},
		"a comma list is sent joined":               {line: "GET /fleet/vehicles?tagIds=" + knownID + ",281474976710658", status: 200},
		"a comma list is sent as text":              {line: "GET /fleet/hos/daily-logs?expand=vehicle%2Cvehicle", status: 200},
		"an element of a comma list is checked":     {line: "GET /fleet/hos/daily-logs?expand=vehicle%2Cdriver", status: 400, message: "expand: must be one of"},
		"a comma list is sent repeated":             {line: "GET /fleet/vehicles?tagIds=1&tagIds=2", status: 200},
		"a repeated list is sent repeated":          {line: "GET /maintenance/work-orders?ids=1&ids=2", status: 200},
		"a repeated list joined is refused":         {line: "GET /maintenance/work-orders?ids=1,2", status: 400, message: "ids: must be given once for each value"},
		"an escaped comma is part of a value":       {line: "GET /maintenance/work-orders?ids=1%2C2", status: 200},
		"a scalar sent twice is refused":            {line: "GET /fleet/vehicles?limit=1&limit=2", status: 400, message: "limit: must be given once"},
		"a page above the maximum is refused":       {line: "GET /fleet/vehicles?limit=513", status: 400, message: "limit: must be at most 512, is 513"},
		"a page of nothing is refused":              {line: "GET /fleet/vehicles?limit=0", status: 400, message: "limit: must be at least 1, is 0"},
		"a word for a number is refused":            {line: "GET /fleet/vehicles?limit=ten", status: 400, message: `limit: must be a whole number, not "ten"`},
		"a sign is no part of a number":             {line: "GET /fleet/vehicles?limit=%2B5", status: 400, message: `limit: must be a whole number, not "+5"`},
		"what is not a number is refused":           {line: "GET /places/geofence?latitude=NaN&longitude=1", status: 400, message: `latitude: must be a number, not "NaN"`},
		"a value outside the enumeration is":        {line: "GET /fleet/drivers?driverActivationStatus=asleep", status: 400, message: "driverActivationStatus: must be one of"},
		"a time that is none is refused":            {line: "GET /assets/depreciation?startTime=yesterday", status: 400, message: "startTime: must be an RFC 3339 time"},
		"a broken escape is refused":                {line: "GET /fleet/vehicles?tagIds=%zz", status: 400, message: "tagIds: is not encoded correctly"},
		"a body that is not declared is refused":    {line: "GET " + vehicle, body: `{}`, status: 400, message: "body: is not accepted"},
		"a required body is required":               {line: "POST /addresses", status: 400, message: "body: is required"},
		"an optional body is optional":              {line: "PATCH /fleet/defects/" + knownID, status: 200},
		"a correct body succeeds":                   {line: "POST /addresses", body: address, status: 200},
		"a body that is no JSON is refused":         {line: "POST /addresses", body: `{"name":`, status: 400, message: "body: is not JSON"},
		"a body with more behind it is refused":     {line: "POST /addresses", body: address + "{}", status: 400, message: "goes on after"},
		"a body that is a list is refused":          {line: "POST /addresses", body: `[]`, status: 400, message: "body: must be an object"},
		"a member twice is refused":                 {line: "POST /tags", body: `{"name":"a","name":"b"}`, status: 400, message: `two members "name"`},
		"bytes that are not UTF-8 are refused":      {line: "POST /tags", body: "{\"name\":\"\xff\"}", status: 400, message: "not UTF-8"},
		"a body nested too deep is refused":         {line: "POST /tags", body: strings.Repeat("[", 100) + strings.Repeat("]", 100), status: 400, message: "nests deeper"},
		"a body too large is 413":                   {line: "POST /tags", body: `{"name":"` + strings.Repeat("x", sandbox.MaxRequestBytes) + `"}`, status: 413, message: "at most 1048576 bytes"},
		"another content type is refused":           {line: "POST /tags", body: `{"name":"a"}`, headers: []string{"Content-Type", "text/plain"}, status: 400, message: "Content-Type: must be application/json"},
		"a charset is accepted":                     {line: "POST /tags", body: `{"name":"a"}`, headers: []string{"Content-Type", "application/json; charset=utf-8"}, status: 200},
		"an unknown member is refused":              {line: "POST /tags", body: `{"name":"a","colour":"red"}`, status: 400, message: "colour: unknown member"},
		"a missing member is refused":               {line: "POST /tags", body: `{}`, status: 400, message: "name: is required"},
		"a missing nested member is refused":        {line: "POST /addresses", body: `{"name":"Depot","formattedAddress":"1 Road","geofence":{"circle":{}}}`, status: 400, message: "geofence.circle.radiusMeters: is required"},
		"a whole number as text is refused":         {line: "POST /addresses", body: strings.Replace(address, "25", `"25"`, 1), status: 400, message: "geofence.circle.radiusMeters: must be a number, not a string"},
		"a fraction for a whole number is":          {line: "POST /addresses", body: strings.Replace(address, "25", "25.5", 1), status: 400, message: "must be a whole number, not 25.5"},
		"text for a list is refused":                {line: "POST /tags", body: `{"name":"a","vehicles":"1"}`, status: 400, message: "vehicles: must be a list"},
		"a number for text is refused":              {line: "POST /tags", body: `{"name":1}`, status: 400, message: "name: must be a string, not a number"},
		"an element of another type is refused":     {line: "POST /tags", body: `{"name":"a","vehicles":["1",2]}`, status: 400, message: "vehicles[1]: must be a string, not a number"},
		"text that is too long is refused":          {line: "POST /addresses", body: strings.Replace(address, "Depot", strings.Repeat("x", 256), 1), status: 400, message: "name: must be at most 255, is 256"},
		"null is refused unless it is a patch":      {line: "POST /tags", body: `{"name":"a","parentTagId":null}`, status: 400, message: "parentTagId: must not be null"},
		"a value outside the enumeration in a body": {line: "PATCH " + vehicle, body: `{"auxInputType1":"teleporter"}`, status: 400, message: "auxInputType1: must be one of"},
		"two cursors at once are refused": {
			line: "GET /v1/fleet/assets/locations?startingAfter=a&endingBefore=b", status: 400, message: "endingBefore: must not be sent together with startingAfter",
		},
	}
	a := serve(t, nil)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := a.call(t, tt.line, tt.body, tt.headers...)
			if got.status != tt.status || !strings.Contains(got.text, strings.ReplaceAll(tt.message, `"`, `\"`)) {
				t.Errorf("%s = %d %.500s, want %d %s", tt.line, got.status, got.text, tt.status, tt.message)
			}
		})
	}
}

func TestErrors_shapes(t *testing.T) {
	t.Parallel()
	wrong := []string{"Authorization", "Bearer wrong"}
	tests := map[string]struct {
		line    string
		headers []string
		want    answer
	}{
		"an object with the request's id": {
			line: "GET /fleet/nothing",
			want: answer{status: 404, text: `{"message":"there is no such path","requestId":"ID"}`},
		},
		"a JSON string below v1": {
			line: "GET /v1/fleet/nothing",
			want: answer{status: 404, text: `"there is no such path"`},
		},
		"an object without an id for a wrong token": {
			line: "GET /fleet/vehicles", headers: wrong,
			want: answer{status: 401, text: `{"message":"Invalid token."}`},
		},
		"a string for a wrong token below v1": {
			line: "GET /v1/fleet/assets", headers: wrong,
			want: answer{status: 401, text: `"Invalid token."`},
		},
		"401 without a scheme": {
			line: "GET /fleet/vehicles", headers: []string{"Authorization", token},
			want: answer{status: 401, text: `{"message":"Invalid token."}`},
		},
		"text for a server error": {
			line: "GET /fleet/vehicles", headers: []string{sandbox.FaultHeader, "status=503"},
			want: answer{status: 503, text: "Service Unavailable"},
		},
		"text for a status without a name": {
			line: "GET /me", headers: []string{sandbox.FaultHeader, "status=599"},
			want: answer{status: 599, text: "Fault"},
		},
		"the header's name for a fault that is none": {
			line: "GET /me", headers: []string{sandbox.FaultHeader, "explode"},
			want: answer{status: 400, text: `{"message":"Samsara-Sandbox-Fault: explode: is not an item of a fault","requestId":"ID"}`},
		},
		"text for a server error below v1": {
			line: "GET /v1/fleet/assets", headers: []string{sandbox.FaultHeader, "status=500"},
			want: answer{status: 500, text: "Internal Server Error"},
		},
		"an object for too many requests": {
			line: "GET /fleet/vehicles", headers: []string{sandbox.FaultHeader, "status=429; retry-after=0.4"},
			want: answer{status: 429, text: `{"message":"Too Many Requests","requestId":"ID"}`},
		},
	}
	a := serve(t, nil)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := a.call(t, tt.line, "", tt.headers...)
			id := got.header.Get("Request-Id")
			if id == "" {
				t.Error("no Request-Id")
			}
			text := strings.ReplaceAll(got.text, id, "ID")
			if diff := cmp.Diff([]any{tt.want.status, tt.want.text}, []any{got.status, text}); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.line, diff)
			}
			wantType := "application/json"
			if got.status >= 500 {
				wantType = "text/plain; charset=utf-8"
			}
			if got.header.Get("Content-Type") != wantType {
				t.Errorf("Content-Type = %s, want %s", got.header.Get("Content-Type"), wantType)
			}
		})
	}
}

func TestErrors_wrongVerb(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	got := a.call(t, "PUT /addresses/"+knownID, "")
	if got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != "DELETE, GET, PATCH" {
		t.Errorf("PUT = %d, Allow %q, want 405, DELETE, GET, PATCH", got.status, got.header.Get("Allow"))
	}
}

func TestLogs_withoutToken(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	a := serve(t, func(c *sandbox.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	a.get(t, "GET /fleet/vehicles", "")
	a.server.Close()
	if !strings.Contains(log.String(), "level=DEBUG msg=answered") || !strings.Contains(log.String(), "status=200") {
		t.Errorf("log = %s, want the request at debug level", log.String())
	}
	if strings.Contains(log.String(), token) {
		t.Errorf("log = %s, holds the token", log.String())
	}
}
