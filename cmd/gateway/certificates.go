package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc/credentials"

	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/reload"
	"samsara.internal/gateway/internal/telemetry"
)

// maxPEMBytes bounds each file with certificates or a key.
const maxPEMBytes = 1 << 20

// certificates secures the connections of clients.
type certificates struct {
	// config is ready to use, and never changes.
	config *tls.Config
	// authorities sign the certificates of clients; nil: clients need none.
	authorities *x509.CertPool
	// dates are the expiry dates of the certificate and of the authorities of clients.
	dates []telemetry.Certificate
}

// newAdminCertificates reads the files for TLS of the admin address.
func newAdminCertificates(cfg *config.Config) (*reload.Value[certificates], error) {
	return reload.New(reload.File[certificates]{
		Name: "admin-tls", Paths: []string{cfg.AdminTLSCertFile, cfg.AdminTLSKeyFile}, MaxBytes: maxPEMBytes,
		Parse: func(contents [][]byte) (certificates, error) {
			parsed, err := parseCertificates(contents, tls.NoClientCert, cfg.TLSMinVersion)
			if err == nil {
				parsed.config.NextProtos = []string{"h2", "http/1.1"}
				parsed.dates[0].Name = "admin"
			}
			return parsed, err
		},
	})
}

// secured returns a listener whose connections are secured by the certificates in use; nil: as it is.
func secured(l net.Listener, files *reload.Value[certificates], least uint16) net.Listener {
	if files == nil {
		return l
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion:         least,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return files.Get().config, nil },
	})
}

// newCertificates reads the files for TLS. It returns nil if none are configured.
func newCertificates(cfg *config.Config) (*reload.Value[certificates], error) {
	if cfg.TLSCertFile == "" {
		return nil, nil
	}
	auth := tls.RequireAndVerifyClientCert
	if cfg.TLSClientAuth == config.ClientAuthOptional {
		auth = tls.VerifyClientCertIfGiven
	}
	file := reload.File[certificates]{
		Name: "tls", Paths: []string{cfg.TLSCertFile, cfg.TLSKeyFile}, MaxBytes: maxPEMBytes,
		Parse: func(contents [][]byte) (certificates, error) {
			return parseCertificates(contents, auth, cfg.TLSMinVersion)
		},
	}
	if cfg.TLSClientCAFile != "" {
		file.Paths = append(file.Paths, cfg.TLSClientCAFile)
	}
	return reload.New(file)
}

// newCredentials returns credentials that give every new connection the current certificates; open
// connections stay as they are. Sessions are resumed whatever has changed, except those of a client whose
// authority is no longer listed: all configurations share the ticket keys of the one made here.
func newCredentials(files *reload.Value[certificates], least uint16) credentials.TransportCredentials {
	if files == nil {
		return nil
	}
	return credentials.NewTLS(&tls.Config{
		MinVersion:         least,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return files.Get().config, nil },
	})
}

// parseCertificates reads a certificate chain, its key and, if there is a third content, the authorities
// of clients.
func parseCertificates(contents [][]byte, auth tls.ClientAuthType, least uint16) (certificates, error) {
	pair, err := parsePair(contents[0], contents[1])
	if err != nil {
		return certificates{}, err
	}
	parsed := certificates{
		config: &tls.Config{MinVersion: least, Certificates: []tls.Certificate{pair}},
		dates:  []telemetry.Certificate{{Name: "server", NotAfter: pair.Leaf.NotAfter}},
	}
	if len(contents) < 3 {
		return parsed, nil
	}
	authorities, err := parseAuthorities(contents[2])
	if err != nil {
		return certificates{}, err
	}
	parsed.authorities = x509.NewCertPool()
	parsed.config.ClientAuth, parsed.config.ClientCAs = auth, parsed.authorities
	last := authorities[0].NotAfter
	for _, authority := range authorities {
		parsed.config.ClientCAs.AddCert(authority)
		if authority.NotAfter.After(last) {
			last = authority.NotAfter
		}
	}
	parsed.dates = append(parsed.dates, telemetry.Certificate{Name: "client_ca", NotAfter: last})
	return parsed, nil
}

// parsePair reads a certificate chain and the key of its first certificate, which must be valid now.
func parsePair(chain, key []byte) (tls.Certificate, error) {
	if _, err := parseChain(chain); err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return pair, checkDates(pair.Leaf)
}

// parseAuthorities reads certificates, of which at least one must be valid now: a bundle may hold old
// ones.
func parseAuthorities(text []byte) ([]*x509.Certificate, error) {
	authorities, err := parseChain(text)
	if err != nil {
		return nil, err
	}
	if len(authorities) == 0 {
		return nil, errors.New("holds no certificate in PEM")
	}
	for _, authority := range authorities {
		if err = checkDates(authority); err == nil {
			return authorities, nil
		}
	}
	return nil, err
}

// readAuthorities returns the authorities in a file.
func readAuthorities(path string) (*x509.CertPool, error) {
	text, err := reload.ReadFile(path, maxPEMBytes)
	if err != nil {
		return nil, err
	}
	trusted, err := parseAuthorities(text)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, authority := range trusted {
		pool.AddCert(authority)
	}
	return pool, nil
}

// parseChain returns the certificates of a PEM file, all of which must be complete. crypto/tls and
// crypto/x509 ignore an incomplete one, such as the end of a file that is being written.
func parseChain(text []byte) (chain []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		block, text = pem.Decode(text)
		switch {
		case block == nil && bytes.Contains(text, []byte("-----BEGIN")):
			return nil, errors.New("holds an incomplete PEM block")
		case block == nil:
			return chain, nil
		case block.Type != "CERTIFICATE":
			continue // a key in the same file
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		chain = append(chain, certificate)
	}
}

func checkDates(c *x509.Certificate) error {
	switch now := time.Now(); {
	case now.Before(c.NotBefore):
		return fmt.Errorf("the certificate is not valid before %v", c.NotBefore)
	case now.After(c.NotAfter):
		return fmt.Errorf("the certificate is not valid after %v", c.NotAfter)
	default:
		return nil
	}
}

const (
	// expiresSoon is how long before its end a certificate is warned of, and expiryInterval how often.
	expiresSoon    = 14 * 24 * time.Hour
	expiryInterval = 24 * time.Hour
)

// warnOfExpiry logs each certificate in use that expires within two weeks, or has expired: at once and once a day, until
// ctx ends.
func warnOfExpiry(ctx context.Context, dates func() []telemetry.Certificate, log *slog.Logger) {
	ticker := time.NewTicker(expiryInterval)
	defer ticker.Stop()
	for {
		for _, c := range dates() {
			if left := time.Until(c.NotAfter); left < expiresSoon {
				log.WarnContext(ctx, "certificate expires soon, or has expired", "certificate", c.Name, "not_after", c.NotAfter, "left", left.Round(time.Minute))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
