package sandbox

import "math"

// drive is how one asset moves. It drives counter-clockwise on a circle around the depot, for ever, at
// a speed that rises and falls. The distance is a function of the time, and all other quantities are
// functions of the distance. So reports of different times agree, and any time can be asked for.
type drive struct {
	radius float64 // metres
	phase  float64 // radians
	speed  float64 // metres a second, on average
	// By how much its counters are ahead, in metres and seconds.
	odometerAhead, engineAhead float64
}

const (
	// The depot, in degrees.
	depotLatitude, depotLongitude = 37.8044, -122.2712
	// metresPerDegree of latitude, on a sphere of the Earth's mean radius.
	metresPerDegree = math.Pi / 180 * 6_371_000
	// swing is the fraction by which the speed changes, swingRate how fast, in radians a second:
	// once in ten minutes.
	swing     = 0.4
	swingRate = 2 * math.Pi / 600
	// goldenAngle spreads any number of assets evenly.
	goldenAngle = 2.399963
)

func driveOf(n uint64) drive {
	return drive{radius: 3000 + 250*float64(n%40), phase: goldenAngle * float64(n), speed: 14 + float64(n%7)}
}

// distance is the integral of velocity, in metres.
func (d drive) distance(age float64) float64 {
	return d.speed * (age - swing/swingRate*math.Cos(swingRate*age+d.phase))
}

// odometer is in metres.
func (d drive) odometer(age float64) float64 {
	return odometerBefore + d.odometerAhead + d.distance(age)
}

func (d drive) engineSeconds(age float64) float64 { return engineSecondsBefore + d.engineAhead + age }

// velocity is in metres a second, and always above 0.
func (d drive) velocity(age float64) float64 {
	return d.speed * (1 + swing*math.Sin(swingRate*age+d.phase))
}

// angle is the asset's position on the circle, in radians counter-clockwise from east.
func (d drive) angle(age float64) float64 { return d.phase + d.distance(age)/d.radius }

func (d drive) latitude(age float64) float64 {
	return depotLatitude + d.radius*math.Sin(d.angle(age))/metresPerDegree
}

func (d drive) longitude(age float64) float64 {
	return depotLongitude + d.radius*math.Cos(d.angle(age))/(metresPerDegree*math.Cos(depotLatitude*math.Pi/180))
}

// heading is in degrees clockwise from north, at least 0 and below 360: the circle's tangent.
func (d drive) heading(age float64) float64 {
	turned := math.Mod(d.angle(age)*180/math.Pi, 360) // of either sign
	return math.Mod(720-turned, 360)
}

const (
	metresPerMile  = 1609.344
	secondsPerHour = 3600
	// The readings of an asset's counters when the fleet began.
	odometerBefore, engineSecondsBefore = 1e8, 1e6
)

// driven returns a function for the quantity that a name stands for, of a drive at an age of the fleet in
// seconds; nil if it stands for none. Counters only grow.
func driven(t term) func(drive, float64) float64 {
	switch {
	case t.has("latitude"), t.ends("lat"):
		return func(d drive, age float64) float64 { return round(d.latitude(age), 6) }
	case t.has("longitude"), t.ends("lng", "lon"):
		return func(d drive, age float64) float64 { return round(d.longitude(age), 6) }
	case t.has("heading"):
		return func(d drive, age float64) float64 { return math.Mod(round(d.heading(age), 1), 360) }
	case t.has("odometermiles"):
		return func(d drive, age float64) float64 { return math.Trunc(d.odometer(age) / metresPerMile) }
	case t.has("odometer"):
		return func(d drive, age float64) float64 { return math.Trunc(d.odometer(age)) }
	case t.has("gpsdistancemeters", "evdistancedriven", "accumulatedvehiclemeters", "totalvehiclemeters"):
		return func(d drive, age float64) float64 { return math.Trunc(odometerBefore + d.distance(age)) }
	case t.has("speeding", "threshold", "limit", "weight", "max", "over"):
	case t.has("speedkilometers", "speedkph"):
		return func(d drive, age float64) float64 { return round(d.velocity(age)*secondsPerHour/1000, 1) }
	case t.has("speedmeterspersecond"), t.is("gpsmeterspersecond"):
		return func(d drive, age float64) float64 { return round(d.velocity(age), 1) }
	case t.has("speed"):
		return func(d drive, age float64) float64 { return round(d.velocity(age)*secondsPerHour/metresPerMile, 1) }
	case t.has("engineseconds"):
		return func(d drive, age float64) float64 { return math.Trunc(d.engineSeconds(age)) }
	case t.has("enginehours"):
		return func(d drive, age float64) float64 { return math.Trunc(d.engineSeconds(age) / secondsPerHour) }
	}
	return nil
}
