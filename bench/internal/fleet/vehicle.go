package fleet

import (
	"fmt"
	"math/rand/v2"
)

// source makes up values, always the same ones.
type source struct{ *rand.Rand }

func newSource() source {
	return source{rand.New(rand.NewPCG(2026, 11))} //nolint:gosec // Test data, and it must repeat.
}

// below returns a whole number from 0 to n-1.
func (s source) below(n int64) raw { return number(s.Int64N(n)) }

// decimal returns a number from low to high with so many decimals.
func (s source) decimal(low, high float64, decimals int) raw {
	return raw(fmt.Sprintf("%.*f", decimals, low+s.Float64()*(high-low)))
}

func (s source) boolean() raw { return raw(fmt.Sprint(s.IntN(2) == 0)) }

func (s source) time() raw {
	return textf("2026-%02d-%02dT%02d:%02d:%02d.%03dZ", 1+s.IntN(12), 1+s.IntN(28), s.IntN(24), s.IntN(60), s.IntN(60), s.IntN(1000))
}

// reading is a value and when it was read.
func (s source) reading(value raw) object {
	return object{{"time", s.time()}, {"value", value}}
}

// vehicle returns the i-th record of an answer. Members stand in declared order; the one that is
// not declared is last.
func (s source) vehicle(i int) object {
	name := textf("Truck %d", 100+i)
	if i%10 == 3 {
		name = textf("Łódź %d – żółty", i)
	}
	fault := textf("Aftertreatment intake NOx sensor; next service due in %d miles", 1000*i)
	if i%5 == 1 {
		fault = textf(`Left mirror \"loose\"\nsee ticket \u0023%d`, 4000+i)
	}
	return object{
		{"ambientAirTemperatureMilliC", s.reading(s.below(40_000))},
		{"auxInput1", object{{"name", text("boom")}, {"time", s.time()}, {"value", s.boolean()}}},
		{"ecuSpeedMph", s.reading(s.decimal(0, 70, 3))},
		{"engineRpm", s.reading(s.below(3000))},
		{"engineState", s.reading(text([]string{"Off", "On", "Idle"}[s.IntN(3)]))},
		{"externalIds", object{{"maintenanceId", textf("M%06d", s.IntN(1e6))}, {"payrollId", textf("ABFS%06d", s.IntN(1e6))}}},
		{"faultCodes", object{
			{"canBusType", text("CANBUS_J1939_500KBPS")},
			{"oem", object{{"diagnosticTroubleCodes", array{object{
				{"codeDescription", fault}, {"codeIdentifier", textf("P%04d", s.IntN(3000))}, {"codeSeverity", text("amber")},
			}}}}},
			{"time", s.time()},
		}},
		{"fuelPercent", s.reading(s.below(100))},
		{"gps", s.gps()},
		{"id", textf("%d", 281474976710656+s.Int64N(1e12))},
		{"name", name},
		{"nfcCardScan", nil},
		{"obdOdometerMeters", s.reading(s.below(1e9))},
		{"_links", object{{"self", textf("/v1/vehicles/%d", i)}, {"pages", array{number(int64(1)), number(2.5), nil}}}},
	}
}

func (s source) gps() object {
	return object{
		{"headingDegrees", s.decimal(0, 360, 1)},
		{"isEcuSpeed", s.boolean()},
		{"latitude", s.decimal(25, 45, 7)},
		{"longitude", s.decimal(-120, -80, 7)},
		{"reverseGeo", object{{"formattedLocation", textf("%d Main Street, San Francisco, CA 94103", s.IntN(9000))}}},
		{"speedMilesPerHour", s.decimal(0, 70, 3)},
		{"time", s.time()},
	}
}
