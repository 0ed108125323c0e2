package policy

import "sync/atomic"

// Grant is what a policy decides for an identity. It is safe for concurrent use.
type Grant struct {
	policy *Policy
	// rules and limits are the indices of those that match the identity. key stands for both.
	rules, limits []int
	key           string
	// name is what the policy calls the identity.
	name string
	// latest is the table that was asked last.
	latest atomic.Pointer[table]
}

type tableKey struct{ matched, organization string }

// table is what an identity may do for an organization. It is immutable.
type table struct {
	organization string
	// decisions are by the index of a method.
	decisions []Decision
}

// Name returns what the policy calls the identity: the first group that it is in, by name, or else the first identity
// that a rule or limit names and that matches it, such as jwt:system:*. It is empty if only "*" matches it.
func (g *Grant) Name() string { return g.name }

// Decide returns what is decided about a call of a method for an organization.
func (g *Grant) Decide(m *Method, organization string) Decision {
	return g.table(organization).decisions[m.index]
}

// Passthrough returns what is decided about a passthrough request with an escaped path, and the name of what it is
// decided about.
func (g *Grant) Passthrough(httpMethod, path, organization string) (d Decision, name string) {
	t, api := g.table(organization), g.policy.api
	through := api.passthroughWrite
	if httpMethod == methodGet {
		through = api.passthroughRead
	}
	d = t.decisions[through.index]
	if reached := api.at(httpMethod, path); reached != nil && d.Allowed {
		return t.decisions[reached.index], reached.Name
	}
	return d, through.Name
}

// table returns the table for an organization.
func (g *Grant) table(organization string) *table {
	if t := g.latest.Load(); t != nil && t.organization == organization {
		return t
	}
	key := tableKey{g.key, organization}
	found, ok := g.policy.tables.Load(key)
	t, _ := found.(*table)
	if !ok {
		t = g.policy.decide(g.rules, g.limits, organization)
		if g.policy.count.Add(1) <= maxTables {
			g.policy.tables.Store(key, t)
		}
	}
	g.latest.Store(t)
	return t
}

// decide makes the table of some rules and limits for an organization.
func (p *Policy) decide(rules, limits []int, organization string) *table {
	t := &table{organization: organization, decisions: make([]Decision, len(p.api.methods))}
	var bounds *Limits
	for _, i := range limits {
		if l := &p.limits[i]; namesAny(l.organizations, organization) {
			bounds = l.limits
			break
		}
	}
	denied := make([]bool, len(t.decisions))
	for i := range t.decisions {
		t.decisions[i].Limits = bounds
	}
	for _, i := range rules {
		r := &p.rules[i]
		if !namesAny(r.organizations, organization) {
			continue
		}
		for m, is := range r.methods {
			d := &t.decisions[m]
			switch {
			case !is || denied[m]:
			case !r.allow:
				d.Allowed, d.Rule, denied[m] = false, r.name, true
			case !d.Allowed:
				d.Allowed, d.Rule = true, r.name
			}
		}
	}
	if call := p.api.passthrough; call != nil {
		// Whether it reads or writes is known once its request is.
		read, write := t.decisions[p.api.passthroughRead.index], t.decisions[p.api.passthroughWrite.index]
		if t.decisions[call.index] = read; write.Allowed || read.Rule == "" {
			t.decisions[call.index] = write
		}
	}
	return t
}
