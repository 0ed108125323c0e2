package sandbox_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"samsara.internal/gateway/internal/sandbox"
)

func FuzzSandbox_anyRequest(f *testing.F) {
	all := endpoints(f)
	for i, e := range all {
		if i%8 == 0 {
			x := requestFor(e, true)
			verb, target, _ := strings.Cut(x.line, " ")
			f.Add(verb, target, x.body)
		}
	}
	f.Add("GET", "/fleet/vehicles/%zz", "")
	f.Add("GET", "/fleet/vehicles?limit=%00&limit", "")
	f.Add("POST", "/functions", `{"name":"\u0000é","description":"d","config":{"handler":"main"}}`)
	f.Add("PATCH", "/fleet/vehicles/281474976710657", `{"externalIds":{"a":"b"},"name":null}`)
	f.Add("POST", "/hub/locations", `{"data":[]}`)
	f.Add("POST", "/v1/fleet/messages", `{"driverIds":[],"text":"t"}`)
	f.Add("POST", "/preview/fleet/orders/batch", `{"data":[{"id":"281474976710657"},{"externalIds":{"a":1}},{"externalIds":{"a":null}}]}`)
	f.Add("PATCH", "/fleet/asset-sharing/agreements/assets/batch", `{"data":[]}`)
	f.Add("PATCH", "/beta/industrial/jobs?id=281474976710657", `{"job":{"name":null}}`)
	f.Add("POST", "/ifta-detail/csv", `{"startHour":"","endHour":"","vehicleIds":",,"}`)
	f.Add("DELETE", "/fleet/driver-vehicle-assignments", `{"vehicleId":""}`)
	f.Add("GET", "/v1/fleet/trips?vehicleId=9223372036854775807&startMs=-9223372036854775808&endMs=-1", "")
	f.Add("GET", "/fleet/vehicles?after=2zhptIkZAK4AAAAAAAAAAAAAAAAAAAAFAAAAAGmle8DtYBto-Biy3Q", "")
	f.Add("GET", "/assets/location-and-speed/stream?startTime=0000-01-01T00:00:00Z&endTime=9999-12-31T23:59:59Z&ids=,1,erpId:asset-1&limit=512", "")
	f.Add("GET", "/v1/fleet/assets/locations?endingBefore=AAAA&startingAfter=", "")
	f.Add("GET", "/places/geofence?latitude=1e999&longitude=-0", "")
	s, err := sandbox.New(sandbox.Config{Endpoints: all, Token: token})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, verb, target, body string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Host != "" || !strings.HasPrefix(target, "/") {
			return
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", strings.NewReader(body))
		r.Method, r.URL = verb, u
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		switch w.Code {
		case 200, 201, 202, 204, 400, 404, 405, 413:
		default:
			t.Errorf("%s %s = %d %s", verb, target, w.Code, w.Body)
		}
		if w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s = %s, not JSON", verb, target, w.Body)
		}
	})
}
