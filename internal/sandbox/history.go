package sandbox

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRows is how many rows a table of readings may have.
const maxRows = 10_000

// table is an answer of readings of sensors. It has a row for each step from one time to another, and in
// each row an entry for each series that the body asks for.
type table struct {
	noun         string  // of the records that the readings are of
	time, series *member // of a row
	id, field    *member // of a series in the body: the sensor's id, and the quantity
}

// table returns the table that an operation answers, false if it answers none.
func (op *operation) table() (table, bool) {
	if !op.isAction() || !op.envelope.isList || op.body == nil {
		return table{}, false
	}
	for _, name := range []string{"startMs", "endMs", "stepMs"} {
		if m := op.body.named[name]; m == nil || m.kind != whole || m.shape != single {
			return table{}, false
		}
	}
	row := op.envelope.record
	for _, asked := range op.body.members {
		told := row.named[asked.name]
		if told == nil || told.shape != list || asked.shape != list || !asked.isRecord() || row.named["timeMs"] == nil {
			continue
		}
		t := table{noun: nounOf(op.base[:strings.LastIndexByte(op.base, '/')]), time: row.named["timeMs"], series: told}
		for _, m := range asked.schema.members {
			switch {
			case m.refers:
				t.id = m
			case len(m.values) > 0:
				t.field = m
			}
		}
		return t, t.id != nil && t.field != nil
	}
	return table{}, false
}

// rows writes the rows that a request asks for. An entry is null if its sensor is unknown. It is also null
// if the sensor has no reading at the time and the request does not ask for the one before.
func (s *Sandbox) rows(q *request, t table) ([]byte, *refusal) {
	start, end, step := q.whole("startMs"), q.whole("endMs"), q.whole("stepMs")
	switch {
	case step < 1:
		return nil, refuse(http.StatusBadRequest, "stepMs: must be at least 1, is %d", step)
	case end < start:
		return nil, refuse(http.StatusBadRequest, "endMs: must not be before startMs, %d, is %d", start, end)
	}
	steps := (uint64(end) - uint64(start)) / uint64(step)
	if steps >= maxRows {
		return nil, refuse(http.StatusBadRequest, "stepMs: must divide the time into less than %d steps, is %d, which makes %d", maxRows, step, steps)
	}
	asked, _ := q.body[t.series.name].([]any)
	sensors := make([]series, 0, len(asked))
	for _, of := range asked {
		values, _ := of.(map[string]any)
		sensors = append(sensors, s.seriesOf(t.noun, jsonText(values[t.id.name]), jsonText(values[t.field.name])))
	}
	var (
		b        = []byte{'['}
		last     = make([]any, len(sensors))
		previous = q.body["fillMissing"] == "withPrevious"
	)
	for i := range steps + 1 {
		ms := start + int64(i)*step
		entries := make([]any, 0, len(sensors))
		for j, of := range sensors {
			v, ok := of.at(time.UnixMilli(ms), q.now)
			if ok || !previous {
				last[j] = v
			}
			entries = append(entries, last[j])
		}
		b = s.fleet.object(separate(b), q.op.envelope.record, subject{}, func(m *member) (any, bool) {
			switch m {
			case t.time:
				return ms, true
			case t.series:
				return entries, true
			}
			return nil, true
		})
		if q.drift {
			b = drifted(b)
		}
	}
	return append(b, ']'), nil
}

// whole returns a whole number in the body.
func (q *request) whole(name string) int64 {
	n, err := strconv.ParseInt(jsonText(q.body[name]), 10, 64)
	if err != nil {
		return 0 // cannot happen: it is required, and was checked
	}
	return n
}

// series is the readings of one quantity by one sensor.
type series struct {
	of     subject
	number func(subject) float64 // nil if there is no such sensor
}

func (s *Sandbox) seriesOf(noun, id, field string) series {
	c, r, ok := s.kinds.find(noun, id)
	if !ok {
		return series{}
	}
	of := s.fleet.about(subject{noun: c.noun, n: r.n, live: true})
	of.hash = mix(of.hash, field)
	return series{of, numberOf(&member{name: field, term: termOf(field), kind: whole})}
}

// missing is how many of that many readings a sensor does not have.
const missing, readings = 1, 8

// at returns the reading at a time, the same that a request for the sensor itself answers then. The second
// result is false if there is none, or none yet.
func (s series) at(at, now time.Time) (any, bool) {
	if s.number == nil || at.After(now) || mixNumber(s.of.hash, uint64(at.UnixMilli()))%readings < missing {
		return nil, false
	}
	s.of.at = at
	return json.Number(strconv.FormatFloat(math.Trunc(s.number(s.of)), 'f', -1, 64)), true
}
