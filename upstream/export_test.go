package upstream

// InFlightBytes returns how much memory response bodies and messages hold now, those included
// that have not been released. See Config.Memory.
func (c *Client) InFlightBytes() int64 { return c.cfg.Memory.Used() }
