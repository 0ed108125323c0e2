package explain

import (
	"strings"

	"samsara.internal/gateway/internal/config"
)

// Curl returns a command line for a POSIX shell that makes the request by curl, with the token from the
// environment variable of that name. A body of more than about 100 KiB may be too long for a command line.
func (r Request) Curl() string {
	parts := []string{"curl --request " + r.Method + " " + quote(r.URL)}
	if strings.ContainsAny(r.URL, "[]{}") {
		parts[0] += " --globoff" // else curl takes them for patterns
	}
	for _, h := range r.Headers {
		switch text := quote(h.Name + ": " + h.Value); {
		case h.Name == "Authorization":
			// The one thing that the shell has to put in.
			text = `"` + h.Name + ": " + strings.ReplaceAll(h.Value, Token, "$"+config.TokenVariable) + `"`
			parts = append(parts, "--header "+text)
		case h.Name == "Content-Length" && r.Body != "":
			// Curl counts for itself.
		case h.Name == "Accept-Encoding":
			parts = append(parts, "--compressed --header "+text)
		default:
			parts = append(parts, "--header "+text)
		}
	}
	if r.Body != "" {
		parts = append(parts, "--data-raw "+quote(r.Body))
	}
	return strings.Join(parts, " \\\n  ") + "\n"
}

// quote quotes a text for a shell. Nothing has a meaning there between single quotes.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
