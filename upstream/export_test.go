package upstream

import "samsara.internal/gateway/internal/quota"

// InFlightBytes returns how much memory response bodies and messages hold now, those included
// that have not been released. See Config.Memory.
func (c *Client) InFlightBytes() int64 { return c.cfg.Memory.Used() }

// AdmittedBy returns the operation with another budget.
func (o *Operation) AdmittedBy(budget *quota.Operation) *Operation {
	other := *o
	other.quota = budget
	return &other
}
