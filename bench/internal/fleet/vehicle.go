package fleet

import (
	"fmt"
	"math/rand/v2"
)

// generator makes up values, always the same ones.
type generator struct{ *rand.Rand }

func newGenerator() generator {
	return generator{rand.New(rand.NewPCG(2026, 11))} //nolint:gosec // Test data, and it must repeat.
}

// below returns a whole number from 0 to n-1.
func (g generator) below(n int64) raw { return number(g.Int64N(n)) }

// decimal returns a number from low to high with so many decimals.
func (g generator) decimal(low, high float64, decimals int) raw {
	return raw(fmt.Sprintf("%.*f", decimals, low+g.Float64()*(high-low)))
}

func (g generator) boolean() raw { return raw(fmt.Sprint(g.IntN(2) == 0)) }

func (g generator) time() raw {
	return textf("2026-%02d-%02dT%02d:%02d:%02d.%03dZ", 1+g.IntN(12), 1+g.IntN(28), g.IntN(24), g.IntN(60), g.IntN(60), g.IntN(1000))
}

// reading is a value and when it was read.
func (g generator) reading(value raw) object {
	return object{{"time", g.time()}, {"value", value}}
}

// vehicle returns the i-th record of an answer. Members stand in declared order; the one that is
// not declared is last.
func (g generator) vehicle(i int) object {
	name := textf("Truck %d", 100+i)
	if i%10 == 3 {
		name = textf("Łódź %d – żółty", i)
	}
	fault := textf("Aftertreatment intake NOx sensor; next service due in %d miles", 1000*i)
	if i%5 == 1 {
		fault = textf(`Left mirror \"loose\"\nsee ticket \u0023%d`, 4000+i)
	}
	return object{
		{"ambientAirTemperatureMilliC", g.reading(g.below(40_000))},
		{"auxInput1", object{{"name", text("boom")}, {"time", g.time()}, {"value", g.boolean()}}},
		{"ecuSpeedMph", g.reading(g.decimal(0, 70, 3))},
		{"engineRpm", g.reading(g.below(3000))},
		{"engineState", g.reading(text([]string{"Off", "On", "Idle"}[g.IntN(3)]))},
		{"externalIds", object{{"maintenanceId", textf("M%06d", g.IntN(1e6))}, {"payrollId", textf("ABFS%06d", g.IntN(1e6))}}},
		{"faultCodes", object{
			{"canBusType", text("CANBUS_J1939_500KBPS")},
			{"oem", object{{"diagnosticTroubleCodes", array{object{
				{"codeDescription", fault}, {"codeIdentifier", textf("P%04d", g.IntN(3000))}, {"codeSeverity", text("amber")},
			}}}}},
			{"time", g.time()},
		}},
		{"fuelPercent", g.reading(g.below(100))},
		{"gps", g.gps()},
		{"id", textf("%d", 281474976710656+g.Int64N(1e12))},
		{"name", name},
		{"nfcCardScan", nil},
		{"obdOdometerMeters", g.reading(g.below(1e9))},
		{"_links", object{{"self", textf("/v1/vehicles/%d", i)}, {"pages", array{number(int64(1)), number(2.5), nil}}}},
	}
}

func (g generator) gps() object {
	return object{
		{"headingDegrees", g.decimal(0, 360, 1)},
		{"isEcuSpeed", g.boolean()},
		{"latitude", g.decimal(25, 45, 7)},
		{"longitude", g.decimal(-120, -80, 7)},
		{"reverseGeo", object{{"formattedLocation", textf("%d Main Street, San Francisco, CA 94103", g.IntN(9000))}}},
		{"speedMilesPerHour", g.decimal(0, 70, 3)},
		{"time", g.time()},
	}
}
