package config

// Names returns the names of all settings.
func Names() []string {
	c := defaults()
	var names []string
	for _, s := range c.settings() {
		names = append(names, s.name)
	}
	return names
}

// Variable returns the name of a setting in the environment.
func Variable(name string) string { return variable(name) }

// IsServiceLink reports whether Kubernetes sets such a variable for a Service.
func IsServiceLink(variable string) bool { return isServiceLink(variable) }
