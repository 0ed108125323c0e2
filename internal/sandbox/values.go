package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scalar invents a value that is no object: by what the annotation allows first, by the
// member's name second, by its type last. i tells the elements of a list apart.
func (f *fleet) scalar(m *member, sub subject, i int) any {
	h := sub.hash
	if allowed := slices.DeleteFunc(slices.Clone(m.rule.GetValues()), func(v string) bool { return v == "" }); len(allowed) > 0 {
		v := allowed[h%uint64(len(allowed))]
		if m.kind == text {
			return v
		}
		return json.Number(v)
	}
	switch m.kind {
	case truth:
		return h&1 == 0
	case free:
		return freeForm(m.name, h)
	case real:
		return bounded(m, math.Round(measure(m.name, sub)*1000)/1000)
	case whole:
		return int64(bounded(m, math.Trunc(wholeOf(m.name, sub, i))))
	case text, object:
	}
	s := textOf(m, sub, i)
	if m.shape == single && m.rule.Maximum != nil {
		s = s[:min(len(s), int(m.rule.GetMaximum()))]
	}
	if m.shape == single && m.rule.Minimum != nil {
		s += strings.Repeat("x", max(0, int(min(m.rule.GetMinimum(), 1024))-len(s)))
	}
	return s
}

func bounded(m *member, v float64) float64 {
	if m.shape == single && m.rule.Maximum != nil {
		v = min(v, m.rule.GetMaximum())
	}
	if m.shape == single && m.rule.Minimum != nil {
		v = max(v, m.rule.GetMinimum())
	}
	return v
}

func freeForm(name string, h uint64) any {
	if strings.HasSuffix(name, "s") || h%3 == 0 {
		return map[string]any{"note": "sample", "count": h % 10}
	}
	if h%3 == 1 {
		return "closed"
	}
	return float64(h%1000) / 10
}

// textOf invents a string. It is ASCII, so that it can be cut anywhere.
func textOf(m *member, sub subject, i int) string {
	name, h := m.name, sub.hash
	switch m.rule.GetFormat() {
	case "date-time":
		return timestamp(timeOf(name, sub))
	case "date":
		return timeOf(name, sub).Format(time.DateOnly)
	case "uuid":
		return uuidOf(h)
	case "uri":
		return urlOf(name, h)
	case "byte":
		return base64.StdEncoding.EncodeToString([]byte("sample " + name))
	}
	lower := strings.ToLower(strings.ReplaceAll(name, "_", ""))
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(lower, p) {
				return true
			}
		}
		return false
	}
	ends := func(parts ...string) bool {
		for _, p := range parts {
			if strings.HasSuffix(lower, p) {
				return true
			}
		}
		return false
	}
	switch {
	case lower == "id":
		return sub.id()
	case has("uuid"):
		return uuidOf(h)
	case has("base64", "md5"):
		return base64.StdEncoding.EncodeToString([]byte("sample " + name))
	case isReference(name):
		if noun := nounOfReference(name); noun == sub.noun {
			return sub.id()
		}
		return idOf(ref(sub.n, i))
	case has("latitude"), has("longitude"):
		return strconv.FormatFloat(measure(name, sub), 'f', 6, 64)
	case lower == "timezone", has("timezone"):
		return "America/Los_Angeles"
	case ends("timeofday"):
		return "08:30"
	case ends("date") && !ends("update"):
		return timeOf(name, sub).Format(time.DateOnly)
	case ends("time", "hour", "datetime", "restperiod", "lastconnected"), strings.HasSuffix(name, "At"), strings.HasSuffix(name, "Ms"):
		return timestamp(timeOf(name, sub))
	case has("email"):
		return fmt.Sprintf("%s.%d@fleet.example", strings.ToLower(sub.noun), sub.n)
	case has("url", "href", "link"):
		return urlOf(name, h)
	case has("phone"):
		return fmt.Sprintf("+1415555%04d", 100+sub.n)
	case ends("vin"):
		return vinOf(sub.n)
	case has("licenseplate"):
		return fmt.Sprintf("SBX%04d", sub.n)
	case has("serial"), lower == "mac", lower == "esn":
		return serialOf(sub.n)
	case lower == "username":
		return fmt.Sprintf("driver%d", sub.n)
	case ends("firstname"):
		return pick(sub.n, "Ada", "Ben", "Cleo", "Dev", "Elif", "Finn", "Gia", "Hugo", "Ines", "Jude", "Kai", "Lena")
	case ends("lastname"):
		return pick(sub.n, "Abbott", "Brandt", "Costa", "Dunn", "Eriksen", "Fuchs", "Gupta", "Hale", "Ito", "Jansen", "Khan", "Lopez")
	case lower == "name", lower == "displayname", lower == "title":
		return nameOf(sub.noun, sub.n)
	case ends("name"):
		return nameOf(camelBefore(name), sub.n)
	case ends("year"):
		return strconv.FormatUint(2016+sub.n%10, 10)
	case ends("month"):
		return "March"
	case ends("quarter"):
		return "Q1"
	case lower == "make", lower == "oemname", lower == "manufacturer":
		return pick(sub.n, "Freightliner", "Kenworth", "Volvo", "Mack")
	case lower == "model":
		return pick(sub.n, "Cascadia", "T680", "VNL 860", "Anthem")
	case has("currency"):
		return "usd"
	case has("address", "location") && !has("type"):
		return fmt.Sprintf("%d Harbor Road, Oakland, CA 94607", 100+sub.n)
	case lower == "city":
		return "Oakland"
	case ends("state"), has("jurisdiction"):
		return "CA"
	case lower == "country":
		return "US"
	case has("postalcode", "postcode", "zip"):
		return "94607"
	case lower == "street", lower == "line1", lower == "roadname":
		return "Harbor Road"
	case has("token", "secret", "password"):
		return fmt.Sprintf("sandbox-%016x", h)
	case has("amount", "cost", "price", "quantity", "score", "percent", "value"):
		return strconv.FormatFloat(float64(h%10_000)/100, 'f', 2, 64)
	case has("number", "code", "version"):
		return strconv.FormatUint(1000+h%9000, 10)
	}
	return "Sample " + words(name)
}

// measure invents a number by the quantity that a name stands for. Positions, speeds and
// counters follow the time: every record drives its own circle around the depot once an hour.
func measure(name string, sub subject) float64 {
	h, lower := sub.hash, strings.ToLower(strings.ReplaceAll(name, "_", ""))
	age := float64(sub.at.Unix()-epoch().Unix()) + float64(sub.at.Nanosecond())/1e9
	turn := 2 * math.Pi * (age/3600 + float64(sub.n)/fleetSize)
	radius := 0.02 + 0.01*float64(sub.n%fleetSize)
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(lower, p) {
				return true
			}
		}
		return false
	}
	of := func(low, high float64) float64 { return low + float64(h%10_000)/10_000*(high-low) }
	switch {
	case has("latitude"), strings.HasSuffix(lower, "lat"):
		return math.Round((37.8044+radius*math.Sin(turn))*1e6) / 1e6
	case has("longitude"), strings.HasSuffix(lower, "lng"), strings.HasSuffix(lower, "lon"):
		return math.Round((-122.2712+radius*math.Cos(turn))*1e6) / 1e6
	case has("heading"):
		return math.Mod(360+math.Mod(-turn*180/math.Pi, 360), 360)
	case has("percent"), has("score"):
		return of(20, 100)
	case has("odometer"), has("totalmeters"), has("accumulatedvehiclemeters"):
		return 1e8 + 1e6*float64(sub.n) + math.Trunc(age*20)
	case has("speed"):
		return 40 + 20*math.Sin(3*turn)
	case has("engineseconds"), has("enginehours"):
		return 1e6 + math.Trunc(age/2)
	case has("duration"), has("milliseconds"), strings.HasSuffix(name, "Ms"):
		return math.Trunc(of(60_000, 3_600_000))
	case has("seconds"):
		return math.Trunc(of(30, 3600))
	case has("meters"):
		return math.Trunc(of(50, 50_000))
	case has("millic"), has("millicelsius"):
		return math.Trunc(of(-5000, 30_000))
	case has("accuracy"):
		return of(1, 10)
	case has("amount"), has("cost"), has("price"):
		return math.Round(of(5, 500)*100) / 100
	case has("count"), has("number"), has("index"):
		return float64(h % 10)
	case has("weight"):
		return math.Trunc(of(5000, 35_000))
	}
	return of(1, 100)
}

// wholeOf invents a whole number.
func wholeOf(name string, sub subject, i int) float64 {
	lower := strings.ToLower(strings.ReplaceAll(name, "_", ""))
	switch {
	case lower == "id":
		if id, err := strconv.ParseUint(sub.id(), 10, 53); err == nil {
			return float64(id)
		}
		return firstID + float64(sub.n)
	case isReference(name):
		if noun := nounOfReference(name); noun == sub.noun {
			return wholeOf("id", sub, i)
		}
		return firstID + float64(ref(sub.n, i))
	case lower == "year":
		return float64(2016 + sub.n%10)
	case isInstant(name):
		return float64(timeOf(name, sub).UnixMilli())
	}
	return measure(name, sub)
}

// isReference reports whether a name is that of an id, or of a list of ids.
func isReference(name string) bool {
	return name != "id" && (isIDName(name) || isIDName(strings.TrimSuffix(name, "s")) && strings.HasSuffix(name, "s"))
}

func nounOfReference(name string) string {
	name = strings.TrimSuffix(name, "s")
	return camel(strings.TrimSuffix(name[:len(name)-2], "_"))
}

// isInstant reports whether a whole number is a time in Unix milliseconds rather than a
// duration, as far as a name can tell.
func isInstant(name string) bool {
	lower := strings.ToLower(strings.ReplaceAll(name, "_", ""))
	if strings.Contains(lower, "duration") || strings.Contains(lower, "sincemidnight") {
		return false
	}
	for _, end := range []string{"atms", "timestampms", "startms", "endms", "timems", "arrivalms", "startedms", "expirationtime", "signedat", "resolvedat"} {
		if strings.HasSuffix(lower, end) {
			return !strings.Contains(lower, "windowafter") && !strings.Contains(lower, "windowbefore")
		}
	}
	return lower == "time"
}

// isChangeTime reports whether a name says when a record was last changed.
func isChangeTime(name string) bool {
	return strings.HasPrefix(name, "updated") || strings.HasPrefix(name, "lastModified") || strings.HasPrefix(name, "modified")
}

// epoch is when the fleet began.
func epoch() time.Time { return time.Date(2026, time.January, 5, 8, 0, 0, 0, time.UTC) }

// timeOf invents a time: what happened once stays, ends lie at the report's time and starts a few
// minutes before.
func timeOf(name string, sub subject) time.Time {
	lower := strings.ToLower(name)
	switch {
	case strings.HasPrefix(lower, "created"), isChangeTime(name), strings.Contains(lower, "birth"):
		return epoch().Add(time.Duration(sub.n) * time.Hour)
	case strings.Contains(lower, "expir"), strings.Contains(lower, "due"), strings.HasPrefix(lower, "next"):
		return sub.at.Add(24 * time.Hour)
	case strings.Contains(lower, "start"), strings.Contains(lower, "begin"), strings.Contains(lower, "first"):
		return sub.at.Add(-time.Duration(1+sub.n) * time.Minute)
	}
	return sub.at
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func uuidOf(h uint64) string {
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", h>>32, h>>16&0xffff, h&0xfff, h>>12&0xfff, finalise(h)&0xffffffffffff)
}

func urlOf(name string, h uint64) string {
	return fmt.Sprintf("https://sandbox.example/%s/%08x", name, h>>32)
}

func vinOf(n uint64) string { return fmt.Sprintf("1SBX8EAT0PJ%06d", n%1_000_000) }

func serialOf(n uint64) string { return fmt.Sprintf("GSBX-%03d-%03d", n/1000%1000, n%1000) }

// nameOf names a record.
func nameOf(noun string, n uint64) string {
	switch noun {
	case "vehicle":
		return fmt.Sprintf("Truck %d", 100+n)
	case "trailer":
		return fmt.Sprintf("Trailer %d", 200+n)
	case "driver", "user", "contact", "coach":
		return pick(n, "Ada Abbott", "Ben Brandt", "Cleo Costa", "Dev Dunn", "Elif Eriksen", "Finn Fuchs",
			"Gia Gupta", "Hugo Hale", "Ines Ito", "Jude Jansen", "Kai Khan", "Lena Lopez")
	case "tag":
		return pick(n, "North", "South", "East", "West", "Harbor", "Valley")
	case "address", "place", "location":
		return fmt.Sprintf("Depot %d", n)
	case "function", "file":
		return fmt.Sprintf("%s-%d", noun, n)
	}
	return fmt.Sprintf("%s %d", capital(words(noun)), n)
}

// camelBefore is what a name ending in Name is the name of.
func camelBefore(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "Name"), "name"), "_")
}

func pick(n uint64, of ...string) string { return of[n%uint64(len(of))] }

// words writes a name in words: mechanicNotes is mechanic notes.
func words(name string) string {
	var b strings.Builder
	for i, r := range name {
		switch {
		case r == '_':
			b.WriteByte(' ')
		case r >= 'A' && r <= 'Z' && i > 0:
			b.WriteByte(' ')
			b.WriteRune(r + 'a' - 'A')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
