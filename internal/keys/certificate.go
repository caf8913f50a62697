package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"time"
)

// How long certificates hold: the authority longer than an installation lives, a
// server's as long as most verifiers accept.
const (
	caYears    = 10
	serverDays = 825
)

// authority signs the servers' certificates.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// certificates makes the authority and the missing servers' certificates.
func (f Folder) certificates() (made []string, err error) {
	if _, err := os.Lstat(f.path(FileCA)); errors.Is(err, fs.ErrNotExist) {
		if err := f.newAuthority(); err != nil {
			return nil, err
		}
		made = append(made, FileCAKey, FileCA)
	}
	for _, server := range Servers {
		if _, err := os.Lstat(f.path(server + ".pem")); !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return made, err
			}
			if err := f.checkNames(server); err != nil {
				return made, err
			}
			continue
		}
		ca, err := f.authority()
		if err != nil {
			return made, err
		}
		if err := f.newServer(ca, server); err != nil {
			return made, err
		}
		made = append(made, server+"-key.pem", server+".pem")
	}
	return made, nil
}

func (f Folder) newAuthority() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	cert := &x509.Certificate{
		Subject:   pkix.Name{Organization: []string{"Sluice"}, CommonName: "Sluice certificate authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(caYears, 0, 0),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:     true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	return f.writePair("ca", cert, authority{cert: cert, key: key}, key)
}

func (f Folder) newServer(ca authority, server string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	cert := &x509.Certificate{
		Subject:   pkix.Name{Organization: []string{"Sluice"}, CommonName: server},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, serverDays),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		// Nodes of a cluster are each other's clients.
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range f.names(server) {
		if ip := net.ParseIP(name); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, name)
		}
	}
	return f.writePair(server, cert, ca, key)
}

// names are those under which a server is reached.
func (f Folder) names(server string) []string {
	return slices.Concat([]string{server, "localhost", "127.0.0.1", "::1"}, f.Names)
}

// writePair writes the key before the certificate: the certificate says that both
// are there.
func (f Folder) writePair(name string, cert *x509.Certificate, ca authority, key *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, cert, ca.cert, key.Public(), ca.key)
	if err != nil {
		return fmt.Errorf("make %s.pem: %w", name, err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("make %s-key.pem: %w", name, err)
	}
	if err := f.write(name+"-key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})); err != nil {
		return err
	}
	return f.write(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func (f Folder) authority() (authority, error) {
	cert, err := f.certificate(FileCA)
	if err != nil {
		return authority{}, err
	}
	text, err := os.ReadFile(f.path(FileCAKey))
	if errors.Is(err, fs.ErrNotExist) {
		return authority{}, fmt.Errorf("%s is missing, without which no certificate can be made: put it back, or make the certificates elsewhere", f.path(FileCAKey))
	}
	if err != nil {
		return authority{}, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return authority{}, fmt.Errorf("%s holds no key in PEM", f.path(FileCAKey))
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return authority{}, fmt.Errorf("%s: %w", f.path(FileCAKey), err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return authority{}, fmt.Errorf("%s holds a key that cannot sign", f.path(FileCAKey))
	}
	return authority{cert, signer}, nil
}

// checkNames says what a certificate that is there lacks.
func (f Folder) checkNames(server string) error {
	cert, err := f.certificate(server + ".pem")
	if err != nil {
		return err
	}
	for _, name := range f.Names {
		if cert.VerifyHostname(name) != nil {
			return fmt.Errorf("%s is not for %s: remove it and %s-key.pem to have both made anew", f.path(server+".pem"), name, server)
		}
	}
	return nil
}

func (f Folder) certificate(name string) (*x509.Certificate, error) {
	text, err := os.ReadFile(f.path(name))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no certificate in PEM", f.path(name))
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.path(name), err)
	}
	return cert, nil
}
