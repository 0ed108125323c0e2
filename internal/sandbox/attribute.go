package sandbox

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"
)

// attributed is which attributes drivers and assets have, and with which values. It is stored once, for the
// attributes of an entity and for the entities of an attribute. A vehicle and the asset with its id have the
// same attributes.
type attributed struct {
	attributes *collection
	entities   map[string][]*collection       // by entity type, driver or asset
	has        map[string]*relation           // by entity type: entities to the left, attributes to the right
	said       map[attribution]map[string]any // by clients; all other values are invented
}

// attribution is an attribute that an entity has.
type attribution struct{ entityType, entity, attribute string }

const (
	attributeNoun, attributeValueNoun = "attribute", "attributeValue"
	driverEntity, assetEntity         = "driver", "asset"
)

// entityTypeOf returns the entity type of a seeded attribute: driver or asset.
func entityTypeOf(n uint64) string {
	if n%2 == 1 {
		return driverEntity
	}
	return assetEntity
}

// attributeTypeOf returns the type of the values of a seeded attribute.
func attributeTypeOf(n uint64) string {
	return pick(n/2, "single-select", "multi-select", "text", "number", "date")
}

// attribute ties attributes to the kinds that have them.
func (k kinds) attribute(size uint64) {
	if len(k[attributeNoun]) == 0 {
		return
	}
	a := &attributed{
		attributes: k[attributeNoun][0], entities: map[string][]*collection{}, said: map[attribution]map[string]any{},
		has: map[string]*relation{driverEntity: newRelation(listSize, size), assetEntity: newRelation(listSize, size)},
	}
	a.attributes.attributed = a
	for noun, of := range k {
		for _, c := range of {
			if m := c.records["attributes"]; m == nil || m.shape != list || !m.isReference() {
				continue
			}
			c.attributed = a
			if i := entityOf(noun); noun == "vehicle" {
				a.entities[i] = slices.Insert(a.entities[i], 0, c) // which has the name of the asset
			} else {
				a.entities[i] = append(a.entities[i], c)
			}
		}
	}
}

// entityOf returns the entity type of the records of a noun.
func entityOf(noun string) string {
	if noun == "driver" {
		return driverEntity
	}
	return assetEntity
}

// typeOf returns the entity type of an attribute: driver or asset.
func (a *attributed) typeOf(r record) string {
	if said, ok := r.overlay["entityType"].(string); ok || r.isCreated() {
		return said
	}
	return entityTypeOf(r.n)
}

// set stores what a client has written to an attribute or to an entity, and takes it out of the overlay.
func (a *attributed) set(c *collection, r record) {
	if c == a.attributes {
		if v, ok := r.overlay["entities"]; ok {
			delete(r.overlay, "entities")
			a.setEntities(r, v)
		}
		return
	}
	if v, ok := r.overlay["attributes"]; ok {
		delete(r.overlay, "attributes")
		a.setAttributes(entityOf(c.noun), r.key, v)
	}
}

func (a *attributed) setAttributes(entityType, entity string, v any) {
	for _, attribute := range a.has[entityType].of(entity) {
		delete(a.said, attribution{entityType, entity, attribute})
	}
	var ids []string
	elements, _ := v.([]any)
	for _, element := range elements {
		values, _ := element.(map[string]any)
		if r, ok := a.called(entityType, values); ok {
			ids = append(ids, r.key)
			a.said[attribution{entityType, entity, r.key}] = values
		}
	}
	a.has[entityType].put(entity, ids)
}

// called returns the attribute that a client has named in an entity, by its id or its name.
func (a *attributed) called(entityType string, values map[string]any) (record, bool) {
	if id := jsonText(values["id"]); id != "" {
		return a.attributes.find(id)
	}
	all := a.attributes.all()
	for i := range all.count {
		if r, ok := a.attributes.get(all.at(i)); ok && a.typeOf(r) == entityType && nameIn(r, attributeNoun) == values["name"] {
			return r, true
		}
	}
	return record{}, false
}

func (a *attributed) setEntities(r record, v any) {
	entityType := a.typeOf(r)
	of := a.has[entityType]
	for _, entity := range of.to(r.key) {
		delete(a.said, attribution{entityType, entity, r.key})
	}
	var ids []string
	elements, _ := v.([]any)
	for _, element := range elements {
		values, _ := element.(map[string]any)
		id := jsonText(values["entityId"])
		if external, ok := values["externalIds"].(map[string]any); ok && id == "" {
			for name, value := range external {
				id = name + ":" + jsonText(value)
			}
		}
		if _, entity, ok := a.find(entityType, id); ok {
			ids = append(ids, entity.key)
			a.said[attribution{entityType, entity.key, r.key}] = values
		}
	}
	of.setTo(r.key, ids)
}

// find returns the entity with an id.
func (a *attributed) find(entityType, id string) (*collection, record, bool) {
	for _, c := range a.entities[entityType] {
		if r, ok := c.find(id); ok {
			return c, r, true
		}
	}
	return nil, record{}, false
}

// forget removes a deleted record, which is an attribute or an entity.
func (a *attributed) forget(c *collection, r record) {
	if c == a.attributes {
		a.setEntities(r, nil)
		for _, entity := range a.has[driverEntity].to(r.key) {
			delete(a.said, attribution{driverEntity, entity, r.key})
		}
		for _, entity := range a.has[assetEntity].to(r.key) {
			delete(a.said, attribution{assetEntity, entity, r.key})
		}
	} else {
		a.setAttributes(entityOf(c.noun), r.key, nil)
	}
}

// of returns the attributes that an entity has.
func (a *attributed) of(c *collection, r record) []record {
	entityType := entityOf(c.noun)
	var out []record
	for _, id := range a.has[entityType].of(r.key) {
		if attribute, ok := a.attributes.find(id); ok && a.holds(entityType, r.key, attribute) {
			out = append(out, attribute)
		}
	}
	return out
}

// holds reports whether an entity has an attribute that it is related to: the attribute is of its type, or a
// client has given it to the entity.
func (a *attributed) holds(entityType, entity string, attribute record) bool {
	_, said := a.said[attribution{entityType, entity, attribute.key}]
	return said || a.typeOf(attribute) == entityType
}

// valueIDs returns the ids of the values of all attributes that an entity has.
func (a *attributed) valueIDs(c *collection, r record) []string {
	var ids []string
	for _, attribute := range a.of(c, r) {
		for _, v := range a.values(entityOf(c.noun), r.key, attribute).withIDs {
			ids = append(ids, jsonText(v["id"]))
		}
	}
	return ids
}

// told returns the value of a member that tells entities of an attribute or attributes of an entity. It
// returns false for other members.
func (a *attributed) told(f *fleet, m *member, r record, v view) (any, bool) {
	var out []any
	switch {
	case v.of != a.attributes && m.name == "attributes" && m.shape == list:
		for _, attribute := range a.of(v.of, r) {
			out = append(out, a.values(entityOf(v.of.noun), r.key, attribute).as(m, map[string]any{
				"id": attribute.key, "name": nameIn(attribute, attributeNoun),
			}))
		}
	case v.of != a.attributes:
		return nil, false
	case m.name == "entities":
		for _, entityType := range []string{driverEntity, assetEntity} {
			for _, id := range a.has[entityType].to(r.key) {
				if c, entity, ok := a.find(entityType, id); ok && a.holds(entityType, id, r) {
					shown := f.show(entity, view{schema: m.schema, of: c, key: m.schema.named["entityId"], at: v.at, kinds: v.kinds})
					out = append(out, a.values(entityType, id, r).as(m, map[string]any{
						"entityId": shown["entityId"], "name": shown["name"], "externalIds": shown["externalIds"],
					}))
				}
			}
		}
	case m.name == "values":
		for _, value := range a.options(r).withIDs {
			out = append(out, value)
		}
	case r.overlay[m.name] != nil || r.isCreated():
		return nil, false
	case m.name == "stringValues":
		out = a.options(r).texts
	case m.name == "numberValues":
		out = a.options(r).numbers
	case m.name == "unit":
		return nil, a.valueType(r) != "number"
	default:
		return nil, false
	}
	if len(out) == 0 && !m.answered {
		return nil, true
	}
	if out == nil {
		out = []any{}
	}
	return out, true
}

// valueType returns the type of the values of an attribute.
func (a *attributed) valueType(r record) string {
	if said, ok := r.overlay["attributeType"].(string); ok {
		return said
	}
	return attributeTypeOf(r.n)
}

// attributeValues are values of an attribute, in all the forms that answers have.
type attributeValues struct {
	texts, numbers, dates []any
	withIDs               []map[string]any // of texts that are selected from a list
}

// options returns the values that clients can select for an attribute.
func (a *attributed) options(r record) attributeValues {
	var out attributeValues
	out.texts, _ = r.overlay["stringValues"].([]any)
	out.numbers, _ = r.overlay["numberValues"].([]any)
	selects := a.valueType(r) == "single-select" || a.valueType(r) == "multi-select"
	if !r.isCreated() && out.texts == nil && selects {
		out.texts = []any{"Option A", "Option B"}
	}
	if selects {
		for i, text := range out.texts {
			out.withIDs = append(out.withIDs, map[string]any{"id": idOf(firstNestedID + r.n<<8 + uint64(i)), "stringValue": text})
		}
	}
	return out
}

// values returns the values that an entity has of an attribute.
func (a *attributed) values(entityType, entity string, attribute record) attributeValues {
	var (
		out     attributeValues
		options = a.options(attribute)
		n       = numberOfID(entity)
	)
	if said, ok := a.said[attribution{entityType, entity, attribute.key}]; ok {
		out.texts, _ = said["stringValues"].([]any)
		out.numbers, _ = said["numberValues"].([]any)
		out.dates, _ = said["dateValues"].([]any)
	} else {
		switch a.valueType(attribute) {
		case "number":
			out.numbers = []any{json.Number(decimal(float64(10 * n)))}
		case "date":
			out.dates = []any{(subject{n: n}).born().Format(time.DateOnly)}
		case "single-select", "multi-select":
			if len(options.texts) > 0 {
				out.texts = []any{options.texts[n%uint64(len(options.texts))]}
			}
		default:
			out.texts = []any{"Note " + decimal(float64(n))}
		}
	}
	for _, v := range options.withIDs {
		if slices.Contains(out.texts, v["stringValue"]) {
			out.withIDs = append(out.withIDs, v)
		}
	}
	return out
}

// as returns an object with the values and with whose, the members that say what they belong to. It leaves
// out members that m does not declare.
func (v attributeValues) as(m *member, whose map[string]any) map[string]any {
	for name, values := range map[string][]any{"stringValues": v.texts, "numberValues": v.numbers, "dateValues": v.dates} {
		if len(values) > 0 {
			whose[name] = values
		}
	}
	var withIDs []any
	for _, value := range v.withIDs {
		withIDs = append(withIDs, value)
	}
	if whose["values"] = withIDs; len(withIDs) == 0 {
		delete(whose, "values")
	}
	for name, value := range whose {
		if m.schema.named[name] == nil || value == nil {
			delete(whose, name)
		}
	}
	return whose
}

// nameIn returns the name of a record.
func nameIn(r record, noun string) string {
	if name, ok := r.overlay["name"].(string); ok {
		return name
	}
	return nameOf(noun, r.n)
}

// isAskedFor reports whether a request is for a record of the record's type. Requests for an attribute
// have its id and its entity type.
func (c *collection) isAskedFor(q *request, r record) bool {
	if c.attributed == nil || c != c.attributed.attributes {
		return true
	}
	entityType := jsonText(cmp.Or(q.args["entityType"], q.body["entityType"]))
	return entityType == "" || entityType == c.attributed.typeOf(r)
}
