package quota

// Remembered returns how many accounts of callers a limiter keeps in its largest fair queue.
func Remembered(l *Limiter) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	most := len(l.schedule.fair.accounts)
	for _, o := range l.operations {
		most = max(most, len(o.line.fair.accounts))
	}
	return most
}
