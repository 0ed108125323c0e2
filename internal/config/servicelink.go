package config

import "regexp"

// serviceLink matches the variables that Kubernetes sets in every pod for each Service of its namespace
// (pkg/kubelet/envvars: FromServices), if the name of the Service begins with samsara-gateway: that one,
// samsara-gateway-admin and so on. The name NAME_PORT alone says too little. Its value tells it from a
// misspelt setting, such as LISTEN_PORT.
const serviceLink = `(?s)^` + variablePrefix + `([A-Z0-9_]+_)?(` +
	`PORT=(tcp|udp|sctp)://.+:[0-9]+|` +
	`(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)=.*)$`

// isServiceLink reports whether a variable of the form NAME=VALUE is one that Kubernetes sets for a
// Service. No setting has such a name.
func isServiceLink(variable string) bool {
	return regexp.MustCompile(serviceLink).MatchString(variable)
}
