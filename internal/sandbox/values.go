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
func scalar(m *member, sub subject, i int) any {
	h := sub.hash
	if len(m.values) > 0 {
		v := m.values[h%uint64(len(m.values))]
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
	case row:
		return []any{freeForm("", h), freeForm("", h>>8)}
	case real:
		return m.bounded(number(m, sub, i))
	case whole:
		return int64(m.bounded(math.Trunc(number(m, sub, i))))
	case text, object:
	}
	s := textOf(m, sub, i)
	if m.shape == single && m.rule.Maximum != nil {
		s = strings.ToValidUTF8(s[:min(len(s), int(m.rule.GetMaximum()))], "")
	}
	if m.shape == single && m.rule.Minimum != nil {
		s += strings.Repeat("x", max(0, int(min(m.rule.GetMinimum(), 1024))-len(s)))
	}
	return s
}

// bounded returns v or the bound that it breaks.
func (m *member) bounded(v float64) float64 {
	if m.shape == single && m.rule.Maximum != nil {
		v = min(v, m.rule.GetMaximum())
	}
	if m.shape == single && m.rule.Minimum != nil {
		v = max(v, m.rule.GetMinimum())
	}
	return v
}

// freeForm invents a value for a member that may hold any: Samsara sends objects there, and
// strings and numbers too.
func freeForm(name string, h uint64) any {
	switch {
	case strings.HasSuffix(name, "s") || h%3 == 0:
		return map[string]any{"note": "sample", "count": int64(h % 10)}
	case h%3 == 1:
		return "closed"
	}
	return float64(h%1000) / 10
}

// term is a member's name in lower case and without underscores.
type term string

func termOf(name string) term {
	return term(strings.ToLower(strings.ReplaceAll(name, "_", "")))
}

func (t term) has(parts ...string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(string(t), p) })
}

func (t term) ends(parts ...string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return strings.HasSuffix(string(t), p) })
}

func (t term) is(names ...string) bool { return slices.Contains(names, string(t)) }

// textOf invents a string.
func textOf(m *member, sub subject, i int) string {
	name, t, h := m.name, m.term, sub.hash
	switch m.rule.GetFormat() {
	case "date-time":
		return timestamp(timeOf(t, sub))
	case "date":
		return timeOf(t, sub).Format(time.DateOnly)
	case "uuid":
		return uuidOf(h)
	case "uri":
		return urlOf(name, h)
	case "byte":
		return base64.StdEncoding.EncodeToString([]byte("sample " + name))
	}
	switch {
	case t.is("id"):
		return sub.id()
	case t.has("uuid"), t.is("requestid"):
		return uuidOf(h)
	case t.has("base64", "md5"):
		return base64.StdEncoding.EncodeToString([]byte("sample " + name))
	case m.refers:
		return sub.reference(m.noun, i)
	case t.has("latitude", "longitude"):
		return strconv.FormatFloat(number(m, sub, i), 'f', 6, 64)
	case t.has("timezone"):
		return "America/Los_Angeles"
	case t.ends("timeofday"):
		return "08:30"
	case t.ends("date", "dateofbirth") && !t.ends("update"):
		return timeOf(t, sub).Format(time.DateOnly)
	case t.ends("time", "hour", "restperiod", "lastconnected"), strings.HasSuffix(name, "At"), strings.HasSuffix(name, "Ms"):
		return timestamp(timeOf(t, sub))
	}
	return phrase(m, sub)
}

// phrase invents a string that is neither an id nor a time.
func phrase(m *member, sub subject) string {
	name, t, h, n := m.name, m.term, sub.hash, sub.n
	switch {
	case t.has("email"):
		return fmt.Sprintf("%s.%d@fleet.example", strings.ToLower(sub.noun), n)
	case t.has("url", "href", "link"):
		return urlOf(name, h)
	case t.has("phone"):
		return fmt.Sprintf("+1415555%04d", 100+n)
	case t.ends("vin"):
		return vinOf(n)
	case t.has("licenseplate"):
		return fmt.Sprintf("SBX%04d", n)
	case t.has("serial"), t.is("mac", "esn"):
		return serialOf(n)
	case t.is("username"):
		return fmt.Sprintf("driver%d", n)
	case t.ends("firstname"):
		first, _, _ := strings.Cut(personOf(n), " ")
		return first
	case t.ends("lastname"):
		_, last, _ := strings.Cut(personOf(n), " ")
		return last
	case t.is("name", "displayname", "title"):
		return nameOf(sub.noun, n)
	case t.ends("name"):
		return nameOf(nounIn(name[:len(name)-len("name")]), n)
	case t.ends("year"):
		return strconv.FormatUint(2016+n%10, 10)
	case t.ends("month"):
		return "March"
	case t.ends("quarter"):
		return "Q1"
	case t.is("make", "oemname", "manufacturer"):
		return pick(n, "Freightliner", "Kenworth", "Volvo", "Mack")
	case t.is("model"):
		return pick(n, "Cascadia", "T680", "VNL 860", "Anthem")
	case t.has("currency"):
		return "usd"
	case t.has("address", "location") && !t.has("type"):
		return fmt.Sprintf("%d Harbor Road, Oakland, CA 94607", 100+n)
	case t.is("city"):
		return "Oakland"
	case t.ends("state"), t.has("jurisdiction"):
		return "CA"
	case t.is("country"):
		return "US"
	case t.has("postalcode", "postcode", "zip"):
		return "94607"
	case t.is("street", "line1", "roadname"):
		return "Harbor Road"
	case t.has("token", "secret", "password"):
		return fmt.Sprintf("sandbox-%016x", h)
	case t.has("amount", "cost", "price", "quantity", "score", "percent", "value"):
		return strconv.FormatFloat(float64(h%10_000)/100, 'f', 2, 64)
	case t.has("number", "code", "version"):
		return strconv.FormatUint(1000+h%9000, 10)
	}
	return "Sample " + words(name)
}

// number invents a number by the quantity that a name stands for.
func number(m *member, sub subject, i int) float64 {
	t, h := m.term, sub.hash
	if t.is("value") {
		t = sub.within
	}
	between := func(low, high float64) float64 { return math.Trunc(low + float64(h%10_000)/10_000*(high-low)) }
	switch {
	case t.is("id"):
		return firstID + float64(sub.n)
	case m.refers:
		id, err := strconv.ParseFloat(sub.reference(m.noun, i), 64)
		if err != nil {
			return firstID + float64(sub.n)
		}
		return id
	case t.is("year"):
		return 2016 + float64(sub.n%10)
	case isInstant(t):
		return float64(timeOf(t, sub).UnixMilli())
	}
	if v, ok := driven(t, sub.n, sub.at); ok {
		return v
	}
	switch {
	case t.has("percent", "score"):
		return between(20, 100)
	case t.has("milliseconds"), t.ends("ms"):
		return between(60_000, 3_600_000)
	case t.has("seconds"):
		return between(30, 3600)
	case t.has("speed"):
		return between(50, 110)
	case t.has("hour"):
		return float64(h % 24)
	case t.has("meters"):
		return between(50, 50_000)
	case t.has("millic"):
		return between(-5000, 30_000)
	case t.has("amount", "cost", "price"):
		return between(500, 50_000) / 100
	case t.has("count", "number", "index"):
		return float64(h % 10)
	case t.has("weight"):
		return between(5000, 35_000)
	}
	return between(100, 10_000) / 100
}

func round(v float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(v*scale) / scale
}

// reference returns the id of the record that the i-th reference to a noun leads to.
func (s subject) reference(noun string, i int) string {
	if noun == s.noun {
		return s.id()
	}
	return idOf(ref(s.n, i, s.size))
}

// isReference reports whether a name is that of an id, or of a list of ids.
func isReference(name string) bool {
	return name != "id" && isIDName(strings.TrimSuffix(name, "s"))
}

func nounOfReference(name string) string {
	name = strings.TrimSuffix(name, "s")
	return nounIn(name[:len(name)-len("id")])
}

// nounIn returns what kind of record a name speaks of: currentVehicle of a vehicle.
func nounIn(name string) string {
	name = singular(camel(name))
	for _, noun := range []string{"vehicle", "driver", "trailer", "tag", "address", "asset", "user", "place"} {
		if strings.HasSuffix(name, capital(noun)) {
			return noun
		}
	}
	return name
}

// isInstant reports whether a number is a time in Unix milliseconds rather than a duration, as
// far as a name can tell.
func isInstant(t term) bool {
	return !t.has("duration", "sincemidnight", "windowafter", "windowbefore") &&
		(t.is("time", "signedat", "resolvedat") || t.ends("atms", "timestampms", "startms", "endms", "timems", "arrivalms", "expirationtime"))
}

// isChangeTime reports whether a name says when a record was last changed.
func isChangeTime(t term) bool { return t.has("updatedat", "lastmodified", "modifiedat") }

// epoch is when the fleet began.
func epoch() time.Time { return time.Date(2020, time.January, 6, 8, 0, 0, 0, time.UTC) }

// timeOf invents a time: what happened once stays, ends lie at the report's time and starts a few
// minutes before.
func timeOf(t term, sub subject) time.Time {
	switch {
	case isChangeTime(t) && sub.report:
		return sub.at
	case t.has("birth"):
		return epoch().AddDate(-40, 0, int(sub.n%365))
	case t.has("created"), isChangeTime(t):
		return epoch().Add(time.Duration(sub.n) * time.Hour)
	case t.has("expir", "due", "next"):
		return sub.at.Add(24 * time.Hour)
	case t.has("start", "begin", "first"):
		return sub.at.Add(-time.Duration(1+sub.n%12) * time.Minute)
	}
	return sub.at
}

// timestamp writes a time as Samsara does.
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
		return personOf(n)
	case "tag":
		return pick(n, "North", "South", "East", "West", "Harbor", "Valley")
	case "address", "place":
		return fmt.Sprintf("Depot %d", n)
	case "function", "file":
		return fmt.Sprintf("%s-%d", noun, n)
	case "me", "carrier", "organization":
		return "Sandbox Logistics"
	}
	return fmt.Sprintf("%s %d", capital(words(noun)), n)
}

func personOf(n uint64) string {
	return pick(n, "Ada Abbott", "Ben Brandt", "Cleo Costa", "Dev Dunn", "Elif Eriksen", "Finn Fuchs",
		"Gia Gupta", "Hugo Hale", "Ines Ito", "Jude Jansen", "Kai Khan", "Lena Lopez")
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
