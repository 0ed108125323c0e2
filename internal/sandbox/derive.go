package sandbox

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// compliancePath is the path of the carrier's settings, which the organization has, too.
const compliancePath = "/fleet/settings/compliance"

// derived returns the value of a member that follows from other members that a client has set, or from
// other records. The second result is false if it follows from neither.
func (f *fleet) derived(m *member, r record, v view) (any, bool) {
	switch {
	case m.term.is("isdeactivated"):
		status, ok := r.overlay["driverActivationStatus"]
		return status == "deactivated", ok
	case m.name == v.of.noun+"Name":
		name, ok := r.overlay["name"].(string)
		return name, ok
	case m.term.is("vehicleweight", "vehicleweightinkilograms", "vehicleweightinpounds"):
		gross, ok := r.overlay["grossVehicleWeight"]
		return weightOf(m.term, gross), ok
	case m.name == "carrierSettings" && v.of.noun == "me":
		return f.carrier(m, v)
	case m.term.is("endtime") && v.of.noun == "driverTrailerAssignment" && !r.isCreated():
		return nil, true // only current ones are listed
	case m.term.is("safetystatus") && v.of.noun == inspectionNoun && !r.isCreated():
		return f.safety(r, v), true
	case v.kinds.assigning(v.of.noun, m) != nil:
		return f.assignments(m, r, v), true
	}
	return nil, false
}

// weightOf returns a weight that a client has set, in the unit of a member: pounds, kilograms, or, for
// vehicleWeight, the unit that the client used.
func weightOf(t term, gross any) any {
	values, _ := gross.(map[string]any)
	weight, err := strconv.ParseFloat(jsonText(values["weight"]), 64)
	if err != nil {
		return nil
	}
	switch unit := values["unit"]; {
	case t.has("pounds") && unit == "kg":
		weight *= poundsPerKilogram
	case t.has("kilograms") && unit == "lb":
		weight /= poundsPerKilogram
	}
	return json.Number(strconv.FormatFloat(math.Round(weight), 'f', -1, 64))
}

// carrier returns the settings of the carrier as a member of the organization.
func (f *fleet) carrier(m *member, v view) (any, bool) {
	c, r, ok := v.kinds.find("compliance", idOf(1))
	if !ok {
		return nil, false
	}
	settings := map[string]any{}
	for name, as := range map[string]string{"carrierName": "carrierName", "dotNumber": "dotNumber", "mainOfficeAddress": "mainOfficeFormattedAddress"} {
		if told := c.records[as]; told != nil && m.schema.named[name] != nil {
			shown := f.show(r, view{schema: &schema{members: []*member{told}, named: map[string]*member{as: told}}, of: c, at: v.at, kinds: v.kinds})
			if shown[as] != nil {
				settings[name] = shown[as]
			}
		}
	}
	return settings, true
}

// assignments returns the assignments of a record, for a member that is named after the other side, such as
// the driverAssignments of a vehicle.
func (f *fleet) assignments(m *member, r record, v view) any {
	c, out := v.kinds.assigning(v.of.noun, m), []any{}
	for _, a := range c.about(v.of.noun, r.key) {
		out = append(out, json.RawMessage(f.present(nil, a, view{
			schema: m.schema, of: c, at: v.at, depth: v.depth - 1, kinds: v.kinds, hidden: v.hidden,
		})))
	}
	if len(out) == 0 && !m.answered {
		return nil
	}
	return out
}

// assigning returns the collection of the assignments in a member of the records of a noun, nil if the
// member has none.
func (k kinds) assigning(noun string, m *member) *collection {
	other, ok := strings.CutSuffix(m.name, "Assignments")
	if !ok || m.shape != list || !m.isRecord() {
		return nil
	}
	for _, kind := range []string{noun + capital(other), other + capital(noun)} {
		if of := k[kind+"Assignment"]; len(of) > 0 {
			return of[0]
		}
	}
	return nil
}

// about returns the records that refer to the record of a noun with a key.
func (c *collection) about(noun, key string) []record {
	var out []record
	numbers := c.matching(filter{noun: noun, ids: []string{key}, of: c})
	for i := range numbers.count {
		if r, ok := c.get(numbers.at(i)); ok && slices.Contains(c.referred(r, noun), key) {
			out = append(out, r)
		}
	}
	return out
}

// unassign removes the assignments of a deleted record.
func (k kinds) unassign(of *collection, r record) {
	for noun, collections := range k {
		if len(collections) == 0 || collections[0].store != of.store {
			continue
		}
		for kind, assignments := range k {
			for _, c := range assignments {
				if termOf(kind).ends("assignment") && c.needs(noun) {
					for _, a := range c.about(noun, r.key) {
						c.remove(a)
					}
				}
			}
		}
	}
}

// needs reports whether each record refers to a record of a noun.
func (c *collection) needs(noun string) bool {
	return slices.ContainsFunc([]string{noun, noun + "Id"}, func(name string) bool {
		m := c.records[name]
		return m != nil && m.answered && m.shape == single
	})
}

// kindOf returns the kind of record that an object refers to: by the name of its member or, if no kind has
// this name, by the type beside the id, as in assignedTo.
func (k kinds) kindOf(m *member, told func(*member) string) string {
	if len(k[m.noun]) > 0 {
		return m.noun
	}
	for _, below := range m.schema.members {
		if !below.term.ends("type") || len(below.values) == 0 || below.shape != single {
			continue
		}
		noun := told(below)
		if noun == "worker" {
			noun = "driver"
		}
		if isEntity(noun) && len(k[noun]) > 0 {
			return noun
		}
	}
	return m.noun
}

// hasDeleted reports whether a record with an id has been deleted.
func (k kinds) hasDeleted(noun, id string) bool {
	return slices.ContainsFunc(k[noun], func(c *collection) bool { return c.deleted[numberOfID(id)] })
}

const defectNoun, inspectionNoun = "defect", "dvir"

// isOpen reports whether a seeded defect is not resolved.
func isOpen(n uint64) bool { return n%4 == 1 || n%4 == 2 }

// safety returns the safety status of a seeded DVIR: unsafe while one of its defects is open.
func (f *fleet) safety(r record, v view) string {
	for i := range listSize {
		if _, defect, ok := v.kinds.find(defectNoun, idOf(ref(r.n, i, f.size))); ok {
			resolved, said := defect.overlay["isResolved"].(bool)
			if said && !resolved || !said && isOpen(defect.n) {
				return "unsafe"
			}
		}
	}
	return "resolved"
}
