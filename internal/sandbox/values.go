package sandbox

import (
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scalar writes an invented value that is no object. It chooses it by the values that the annotation allows,
// else by the member's name, else by its type.
func scalar(b []byte, m *member, sub subject) []byte {
	h := sub.hash
	switch {
	case len(m.values) > 0 && m.kind == text, m.fact != nil && !sub.bare:
		return appendString(b, m.pick(sub))
	case len(m.values) > 0:
		return append(b, m.pick(sub)...)
	}
	switch m.kind {
	case truth:
		v := (h&1 == 0 || m.term.is("ontrip", "running", "isrunning")) && !m.term.is("isdeactivated")
		if m.term.is("isresolved") && sub.noun == defectNoun {
			v = !isOpen(sub.n)
		}
		if sub.bare {
			v = m.term.is("isactive")
		}
		return strconv.AppendBool(b, v)
	case free:
		return appendJSON(b, freeForm(m.name, h))
	case row:
		return appendJSON(b, []any{freeForm("", h), freeForm("", h>>8)})
	case real, whole:
		v := 0.0 // for a record that was just created nothing is counted or measured
		if !sub.bare || m.refers || m.isTime || m.term.is("id") {
			v = m.number(sub)
		}
		if m.kind == real {
			return appendFloat(b, m.bounded(v))
		}
		return strconv.AppendInt(b, int64(m.bounded(math.Trunc(v))), 10)
	case text, object:
	}
	s := m.text(sub)
	if m.shape == single && m.rule.Maximum != nil {
		s = strings.ToValidUTF8(s[:min(len(s), int(m.rule.GetMaximum()))], "")
	}
	if m.shape == single && m.rule.Minimum != nil {
		s += strings.Repeat("x", max(0, int(min(m.rule.GetMinimum(), 1024))-len(s)))
	}
	return appendString(b, s)
}

// pick returns one of the allowed values. Members of one name that allow different values pick the same one
// if they can, since a list and a single answer may declare different values.
func (m *member) pick(sub subject) string {
	within := m.term
	if sub.within != nil && m.term.is("value", "state") {
		within = sub.within.term
	}
	// Every asset drives, and every driver works.
	usual := ""
	switch {
	case within.has("enginestate"):
		usual = "On"
	case within.has("immobilizer"):
		usual = "ignition_enabled"
	case m.term.is("hosstatustype"):
		usual = sub.duty(m.values)
	case m.term.is("driveractivationstatus"):
		usual = "active"
	case m.term.is("entrytype"):
		usual = "tracked" // the other assets have no id
	case m.term.is("entitytype") && sub.noun == attributeNoun:
		usual = entityTypeOf(sub.n)
	case m.term.is("attributetype") && sub.noun == attributeNoun:
		usual = attributeTypeOf(sub.n)
	case sub.within == nil:
	case m.term.is("unit") && sub.within.term.has("weight"):
		usual = "kg"
	case m.term.is("type") && sub.bare && sub.within.isAuthor():
		usual = "user"
	}
	switch {
	case usual != "" && (slices.Contains(m.values, usual) || len(m.values) == 0 && m.fact.has(usual)):
		return usual
	case sub.bare:
		return m.initial
	case m.term.is("id") && len(m.values) > 0: // each element of a list has another one
		return m.values[sub.element%len(m.values)]
	case m.fact != nil:
		return m.fact.pick(m, sub)
	}
	best, weight := 0, uint64(0)
	for i, w := range m.weights {
		if w = mixNumber(sub.hash, w); w >= weight {
			best, weight = i, w
		}
	}
	return m.values[best]
}

// caller is the number of the user that the token belongs to, who does everything that clients do.
const caller = 1

// isAuthor reports whether a member says who did something to a record.
func (m *member) isAuthor() bool {
	return m.term.has("createdby", "updatedby", "submittedby", "modifiedby", "requestedby", "uploadedby")
}

// duty returns the current duty status of a driver: the one that a client has set, else driving.
func (s subject) duty(values []string) string {
	if of := s.kinds["driver"]; len(of) > 0 && s.within != nil && s.within.term.has("current") {
		set := termOf(jsonText(of[0].touched[s.n].overlay["duty_status"]))
		for _, v := range values {
			if set != "" && termOf(v) == set {
				return v
			}
		}
	}
	return "driving"
}

// initialOf returns the value of a record that was just created, such as pending or open. For other
// enumerations it returns the first value that it knows.
func initialOf(values []string) string {
	for _, v := range values {
		t := termOf(v)
		if t.has("pending", "awaiting") || t.is("open", "active", "requested", "scheduled", "notstarted", "draft", "required", "ad-hoc") {
			return v
		}
	}
	for _, v := range values {
		if !termOf(v).has("unknown", "unspecified", "notset") {
			return v
		}
	}
	return ""
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

// freeForm invents a value for a member that may hold any JSON: Samsara sends objects, strings and numbers
// in such members.
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

func (t term) has(substrings ...string) bool {
	return slices.ContainsFunc(substrings, func(s string) bool { return strings.Contains(string(t), s) })
}

func (t term) ends(suffixes ...string) bool {
	return slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(string(t), s) })
}

func (t term) is(names ...string) bool { return slices.Contains(names, string(t)) }

// textOf returns a function that invents the strings of a member. It looks at the member's name only once,
// because there are many values to invent; so do numberOf and timeOf.
func textOf(m *member) func(subject) string {
	name, t := m.name, m.term
	at := timeOf(t)
	switch m.rule.GetFormat() {
	case "date-time":
		return func(s subject) string { return timestamp(at(s)) }
	case "date":
		return func(s subject) string { return at(s).Format(time.DateOnly) }
	case "uuid":
		return func(s subject) string { return uuidOf(s.hash) }
	case "uri":
		return func(s subject) string { return urlOf(name, s.hash) }
	case "byte":
		return always(base64.StdEncoding.EncodeToString([]byte("sample " + name)))
	}
	switch {
	case t.is("id"):
		return func(s subject) string { return s.id() }
	case t.has("uuid"), t.is("requestid"):
		return func(s subject) string { return uuidOf(s.hash) }
	case t.has("base64", "md5"):
		return always(base64.StdEncoding.EncodeToString([]byte("sample " + name)))
	case m.parent && m.refers:
		return func(s subject) string { return idOf(parentOf(s.n, s.size)) }
	case t.is("orgid", "organizationid", "providerorganizationid"):
		return always(idOf(1)) // the organization that the token belongs to
	case t.is("recipientorganizationid"):
		return func(s subject) string { return idOf(s.size + s.n) }
	case m.refers:
		return func(s subject) string {
			if s.bare && m.isAuthor() {
				return idOf(caller)
			}
			return s.reference(m.noun)
		}
	case t.has("latitude", "longitude"):
		return func(s subject) string { return strconv.FormatFloat(m.number(s), 'f', 6, 64) }
	case t.has("timezone"):
		return always(timezone)
	case t.ends("timeofday"):
		return always("08:30")
	case isDay(t):
		return func(s subject) string { return at(s).Format(time.DateOnly) }
	case isMoment(name, t):
		return func(s subject) string { return timestamp(at(s)) }
	}
	phrase := phraseOf(m)
	if t.has("url", "href", "link", "token", "secret", "serial") {
		return phrase
	}
	return func(s subject) string {
		if s.bare {
			return "" // besides its URL a created record has no description
		}
		return phrase(s)
	}
}

// isAccessory reports whether the subject is an accessory of a device, with a serial number of its own.
func (s subject) isAccessory() bool { return s.within != nil && s.within.term.has("accessor") }

func always(s string) func(subject) string { return func(subject) string { return s } }

// phraseOf returns a function that invents strings that are neither ids nor times.
func phraseOf(m *member) func(subject) string {
	name, t := m.name, m.term
	switch {
	case t.has("email"):
		return func(s subject) string { return fmt.Sprintf("%s.%d@fleet.example", strings.ToLower(s.noun), s.n) }
	case t.has("url", "href", "link"):
		return func(s subject) string { return urlOf(name, s.hash) }
	case t.has("phone"):
		return func(s subject) string { return fmt.Sprintf("+1415555%04d", 100+s.n) }
	case t.ends("vin"):
		return func(s subject) string { return vinOf(s.n) }
	case t.has("licenseplate"):
		return func(s subject) string { return fmt.Sprintf("SBX%04d", s.n) }
	case t.has("serial"), t.is("mac", "esn"):
		return func(s subject) string {
			if s.isAccessory() {
				return fmt.Sprintf("EM%02d-%03d", s.element+1, s.n%1000)
			}
			return serialOf(s.n)
		}
	case t.is("username"):
		return func(s subject) string { return fmt.Sprintf("driver%d", s.n) }
	case t.ends("firstname"):
		return func(s subject) string { first, _, _ := strings.Cut(personOf(s.n), " "); return first }
	case t.ends("lastname"):
		return func(s subject) string { _, last, _ := strings.Cut(personOf(s.n), " "); return last }
	case t.is("name", "displayname", "title"):
		return func(s subject) string { return nameOf(s.noun, s.n) }
	case t.ends("name"):
		noun := nounIn(name[:len(name)-len("name")])
		return func(s subject) string { return s.nameOf(noun) }
	case t.ends("year"):
		return func(s subject) string { return strconv.FormatUint(2016+s.n%10, 10) }
	case t.ends("month"):
		return always("March")
	case t.ends("quarter"):
		return always("Q1")
	case t.is("make", "oemname", "manufacturer"):
		return func(s subject) string { return pick(s.n, "Freightliner", "Kenworth", "Volvo", "Mack") }
	case t.is("model"):
		return func(s subject) string {
			if s.isAccessory() {
				return "EM11"
			}
			return pick(s.n, "Cascadia", "T680", "VNL 860", "Anthem")
		}
	case t.has("currency"):
		return always("usd")
	case t.has("mainoffice"):
		return always("101 Harbor Road, Oakland, CA 94607")
	case t.has("address", "location") && !t.has("type"):
		return func(s subject) string { return fmt.Sprintf("%d Harbor Road, Oakland, CA 94607", 100+s.n) }
	case t.is("city"):
		return always("Oakland")
	case t.ends("state"), t.has("jurisdiction"):
		return always("CA")
	case t.is("country"):
		return always("US")
	case t.has("postalcode", "postcode", "zip"):
		return always("94607")
	case t.is("street", "line1", "roadname"):
		return always("Harbor Road")
	case t.has("token", "secret", "password"):
		return func(s subject) string { return fmt.Sprintf("sandbox-%016x", s.hash) }
	case t.has("amount", "cost", "price", "quantity", "score", "percent", "value"):
		return func(s subject) string { return strconv.FormatFloat(float64(s.hash%10_000)/100, 'f', 2, 64) }
	case t.has("dotnumber"):
		return always(strconv.Itoa(dotNumber))
	case t.has("number", "code", "version"):
		return func(s subject) string { return strconv.FormatUint(1000+s.hash%9000, 10) }
	}
	return always("Sample " + words(name))
}

// numberOf returns a function that invents the numbers of a member, by the quantity that its name stands for
// or, of a member called value, the name of the member that has it.
func numberOf(m *member) func(subject) float64 {
	t := m.term
	at, drives, limits, isCurrent := timeOf(t), driven(t), limitOf(t), t.has("current")
	switch {
	case t.is("value"):
		return func(s subject) float64 {
			if s.within == nil || s.within.term.is("value") {
				return between(100, 10_000)(s) / 100
			}
			return s.within.number(s)
		}
	case t.is("id"):
		return func(s subject) float64 { return firstID + float64(s.n) }
	case t.is("orgid", "organizationid"):
		return func(subject) float64 { return firstID + 1 }
	case m.refers:
		return func(s subject) float64 {
			id, err := strconv.ParseFloat(s.reference(m.noun), 64)
			if err != nil {
				return firstID + float64(s.n)
			}
			return id
		}
	case t.is("year"):
		return func(s subject) float64 { return 2016 + float64(s.n%10) }
	case isInstant(t):
		return func(s subject) float64 { return float64(at(s).UnixMilli()) }
	case drives != nil:
		return func(s subject) float64 {
			d, at := driveOf(s.n), s.moment()
			if isCurrent || s.noun == "vehicle" || family(s.noun) == "asset" {
				at = s.at // it is of the subject's own drive
			}
			d.odometerAhead, d.engineAhead = s.odometer.at(at), s.engine.at(at)
			v := drives(d, ageAt(at))
			if s.within != nil && s.within.term.is("vertices") {
				v = round(v+cornerOf(t, s.element), 6)
			}
			return v
		}
	case limits > 0:
		return func(s subject) float64 { return (limits - workedFor(s.n)).Seconds() * 1000 }
	case t.has("violationduration", "doorclosed", "weight"):
		return stateOf(t)
	case t.has("rpm"):
		return between(900, 1800)
	case t.has("percent", "score", "humidity"):
		return between(20, 100)
	case t.has("milliseconds"), t.ends("ms"):
		return between(60_000, 3_600_000)
	case t.has("seconds"):
		return between(30, 3600)
	case t.has("speed"):
		return between(50, 110)
	case t.has("hour"):
		return func(s subject) float64 { return float64(s.hash % 24) }
	case t.has("accuracy"):
		return between(2, 15)
	case t.has("meters"):
		return between(50, 50_000)
	case t.has("millic"):
		return between(-5000, 30_000)
	case t.has("temperature"): // of a sensor, in thousandths of a degree: it goes up and down every hour
		return func(s subject) float64 {
			return math.Trunc(between(0, 20_000)(s) + 500*math.Sin(2*math.Pi/secondsPerHour*s.moment().Sub(epoch()).Seconds()+float64(s.n)))
		}
	case t.has("amount", "cost", "price"):
		return func(s subject) float64 { return between(500, 50_000)(s) / 100 }
	case t.has("dotnumber"):
		return func(subject) float64 { return dotNumber }
	case t.has("count", "number", "index"):
		return func(s subject) float64 { return float64(s.hash % 10) }
	}
	return func(s subject) float64 { return between(100, 10_000)(s) / 100 }
}

// cornerOf returns how far the i-th corner of an area lies from its middle, in degrees.
func cornerOf(t term, i int) float64 {
	const half = 0.001
	if t.has("latitude") {
		return []float64{half, half, -half, -half}[i%4]
	}
	return []float64{half, -half, -half, half}[i%4]
}

// limitOf returns the limit of a driver's working time if a name is that of the time left of it, else 0.
func limitOf(t term) time.Duration {
	switch {
	case t.has("timeuntilbreak"):
		return 8 * time.Hour
	case t.has("driveremaining"):
		return 11 * time.Hour
	case t.has("shiftremaining"):
		return 14 * time.Hour
	case t.has("cycleremaining", "cycletomorrow"):
		return 70 * time.Hour
	}
	return 0
}

// workedFor returns how long a driver has worked, less than any limit.
func workedFor(n uint64) time.Duration { return time.Duration(1+n*37%400) * time.Minute }

// dotNumber is the carrier's.
const dotNumber = 1_234_567

// poundsPerKilogram is what a kilogram weighs.
const poundsPerKilogram = 2.20462

// stateOf returns a function that invents a number that agrees with others of its record.
func stateOf(t term) func(subject) float64 {
	switch {
	case t.has("doorclosed"):
		return func(s subject) float64 { return float64(1 - s.hash&1) }
	case t.has("violationduration"): // there is time left for all drivers
		return func(subject) float64 { return 0 }
	}
	unit := 1.0
	if t.has("pounds") {
		unit = poundsPerKilogram
	}
	return func(s subject) float64 { return math.Round(unit * float64(5000+s.n*977%30_000)) }
}

// between returns a function that invents a whole number of at least low and below high.
func between(low, high float64) func(subject) float64 {
	return func(s subject) float64 {
		return math.Trunc(low + float64(s.hash%10_000)/10_000*(high-low))
	}
}

func round(v float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(v*scale) / scale
}

// reference returns the id of the record that a reference to a noun leads to.
func (s subject) reference(noun string) string {
	if noun == s.noun {
		return s.id()
	}
	return idOf(ref(s.n, s.index, s.size))
}

// isReference reports whether a name is of an id, or of a list of ids.
func isReference(name string) bool {
	return name != "id" && isIDName(strings.TrimSuffix(name, "s"))
}

func nounOfReference(name string) string {
	name = strings.TrimSuffix(name, "s")
	return nounIn(name[:len(name)-len("id")])
}

// nounIn returns the kind of record in a name: vehicle for currentVehicle.
func nounIn(name string) string {
	name = singular(camel(name))
	for _, noun := range append(entities(), "route", "workOrder", "warranty") {
		if strings.HasSuffix(name, capital(noun)) || name == "co"+noun {
			return noun
		}
	}
	return name
}

// entities returns the kinds of record that others refer to by id alone.
func entities() []string {
	return []string{"vehicle", "driver", "trailer", "equipment", "tag", "address", "asset", "user", "place", "contact", "attribute", "defect"}
}

func isEntity(noun string) bool { return slices.Contains(entities(), noun) }

// isInstant reports whether a number is a time in Unix milliseconds rather than a duration, as
// far as a name can tell.
func isInstant(t term) bool {
	return !t.has("duration", "sincemidnight", "windowafter", "windowbefore") &&
		(t.is("time", "signedat", "resolvedat") || t.ends("atms", "timestampms", "startms", "endms", "timems", "arrivalms", "expirationtime"))
}

// isDay reports whether a text is a date, as far as its name says.
func isDay(t term) bool { return t.ends("date", "dateofbirth") && !t.ends("update") }

// isMoment reports whether a text is a time, as far as its name says.
func isMoment(name string, t term) bool {
	return t.ends("time", "hour", "restperiod", "lastconnected") || strings.HasSuffix(name, "At") || strings.HasSuffix(name, "Ms")
}

// isCreationTime reports whether a name says when a record was created.
func isCreationTime(t term) bool { return t.has("createdat", "createdtime", "creationtime") }

// isChangeTime reports whether a name says when a record was last changed.
func isChangeTime(t term) bool { return t.has("updatedat", "lastmodified", "modifiedat") }

// timezone is that of all hubs and drivers.
const timezone = "America/Los_Angeles"

// epoch is when the fleet began.
func epoch() time.Time { return time.Date(2020, time.January, 6, 8, 0, 0, 0, time.UTC) }

// ageAt returns how old the fleet is at a time, in seconds.
func ageAt(t time.Time) float64 { return max(0, t.Sub(epoch()).Seconds()) }

// timeOf returns a function that invents times. Each event of a seeded record has a fixed time of its own:
// the record was created first, and changed last. What a report tells of ends at the time of the report,
// and started a few minutes before. All times of a record that a client has created begin at its creation.
func timeOf(t term) func(subject) time.Time {
	after := afterCreation(t)
	once := func(s subject) time.Time {
		if s.bare {
			return s.at
		}
		return s.born().Add(after)
	}
	reported := reportedAt(t)
	switch {
	case t.has("birth"):
		return func(s subject) time.Time { return epoch().AddDate(-40, 0, int(s.n%365)) }
	case isCreationTime(t):
		return once
	case isChangeTime(t):
		return func(s subject) time.Time {
			if s.report {
				return s.at
			}
			return once(s)
		}
	case t.is("shiftstarttime"):
		return func(s subject) time.Time {
			if s.bare {
				return nextShift(s.at)
			}
			return once(s)
		}
	case t.has("lastobservation", "monitoringend"):
		return func(s subject) time.Time {
			if s.bare {
				return time.Time{} // see never
			}
			return once(s)
		}
	case t.has("lastconnected", "lastcheckin", "lastknown"):
		return reported
	}
	return func(s subject) time.Time {
		if s.bare || s.live {
			return reported(s)
		}
		return once(s)
	}
}

// reportedAt returns a function that invents times of reports and of records that were just created.
func reportedAt(t term) func(subject) time.Time {
	switch {
	case t.has("expir", "due", "next"):
		return func(s subject) time.Time { return s.at.Add(24 * time.Hour) }
	case t.has("start", "begin", "first"):
		return func(s subject) time.Time {
			if s.bare {
				return s.at
			}
			return s.at.Add(-time.Duration(1+s.n%12) * time.Minute)
		}
	}
	return func(s subject) time.Time { return s.at }
}

// afterCreation returns how long after the creation of a seeded record the event of a name happened. The
// events are in an order in which they can happen.
func afterCreation(t term) time.Duration {
	switch {
	case t.has("expir", "next"):
		return 20 * 365 * 24 * time.Hour // in the future
	case isCreationTime(t), t.has("requested", "issuedate"):
		return 0
	case isChangeTime(t):
		return 48 * time.Hour
	case t.has("due", "expected"):
		return 7 * 24 * time.Hour
	case t.has("archived", "deleted", "reimbursed"):
		return 24 * time.Hour
	case t.ends("end", "endtime", "enddate", "endms", "endhour") || t.has("ended", "completed", "finished", "resol", "closed", "failed", "clockout"):
		return 2 * time.Hour
	case t.has("departure"):
		return 70 * time.Minute
	case t.has("arrival"):
		return time.Hour
	case t.has("accepted", "rejected", "approved", "canceled"):
		return 20 * time.Minute
	case t.has("start", "begin", "clockin", "enroute"):
		return 10 * time.Minute
	case t.has("assigned", "seen", "active"):
		return 5 * time.Minute
	}
	return 30 * time.Minute
}

// nextShift returns when the shift of a hub's plan begins by default, for a plan that was made at a time: on
// the next business day, at nine o'clock in the hub's timezone.
func nextShift(at time.Time) time.Time {
	zone, err := time.LoadLocation(timezone)
	if err != nil {
		zone = time.FixedZone(timezone, -8*secondsPerHour) // if the system has no timezone database
	}
	day := at.In(zone)
	next := time.Date(day.Year(), day.Month(), day.Day()+1, 9, 0, 0, 0, zone)
	for next.Weekday() == time.Saturday || next.Weekday() == time.Sunday {
		next = next.AddDate(0, 0, 1)
	}
	return next
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

// nameOf returns the name of the record of a noun that a seeded one refers to: the one that a client has
// set, else the invented one.
func (s subject) nameOf(noun string) string {
	if of := s.kinds[noun]; len(of) > 0 {
		if name, ok := of[0].touched[s.n].overlay["name"].(string); ok {
			return name
		}
	}
	return nameOf(noun, s.n)
}

// nameOf returns the name of a seeded record.
func nameOf(noun string, n uint64) string {
	switch family(noun) {
	case "vehicle":
		return fmt.Sprintf("Truck %d", 100+n)
	case "asset":
		return fmt.Sprintf("Asset %d", 200+n)
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
	return fmt.Sprintf("%s %d", capital(words(family(noun))), n)
}

func personOf(n uint64) string {
	return pick(n, "Ada Abbott", "Ben Brandt", "Cleo Costa", "Dev Dunn", "Elif Eriksen", "Finn Fuchs",
		"Gia Gupta", "Hugo Hale", "Ines Ito", "Jude Jansen", "Kai Khan", "Lena Lopez")
}

func pick(n uint64, of ...string) string { return of[n%uint64(len(of))] }

// words returns a name in words: mechanic notes for mechanicNotes.
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

func uncapital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
