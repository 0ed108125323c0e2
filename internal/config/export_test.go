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

// Kind returns what the values of a setting are called, such as duration.
func Kind(name string) string {
	c := defaults()
	for _, s := range c.settings() {
		if s.name == name {
			return s.value.Type()
		}
	}
	return ""
}

// Variable returns the name of a setting in the environment.
func Variable(name string) string { return variable(name) }

// IsServiceLink reports whether Kubernetes sets such a variable for a Service.
func IsServiceLink(variable string) bool { return isServiceLink(variable) }
