package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/nats-io/nkeys"

	"sluice/schemas"
)

func newSeed() ([]byte, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	defer pair.Wipe()
	seed, err := pair.Seed()
	return append(seed, '\n'), err
}

// publicKey reads the public key of a user's seed.
func (f Folder) publicKey(user string) (string, error) {
	text, err := os.ReadFile(f.path(user + seedSuffix))
	if err != nil {
		return "", err
	}
	pair, err := nkeys.ParseDecoratedNKey(text)
	if err != nil {
		return "", fmt.Errorf("read %s: not the seed of an nkey; restore it, or remove it for a new one", user+seedSuffix)
	}
	defer pair.Wipe()
	return pair.PublicKey()
}

// publicParts writes what the broker's configuration includes: the public keys of
// the users that it names, and each tenant's account.
func (f Folder) publicParts() error {
	var nkeysConf, tenantsConf strings.Builder
	nkeysConf.WriteString("# Public keys of the broker's users, from their seeds. Written by `make keys`.\n")
	for _, user := range Users {
		key, err := f.publicKey(user)
		if err != nil {
			return err
		}
		fmt.Fprintf(&nkeysConf, "NKEY_%s: %s\n", user, key)
	}
	tenants, err := f.tenants()
	if err != nil {
		return err
	}
	tenantsConf.WriteString("# An account for each tenant, with its users. Written by `make keys`.\n")
	for _, tenant := range tenants {
		if err := schemas.CheckTenant(tenant); err != nil {
			return fmt.Errorf("%s: %w", producerUser+tenant+seedSuffix, err)
		}
		account, err := f.account(tenant)
		if err != nil {
			return err
		}
		tenantsConf.WriteString(account)
	}
	if err := f.write(FileNKeys, []byte(nkeysConf.String())); err != nil {
		return err
	}
	return f.write(FileTenants, []byte(tenantsConf.String()))
}

// account is what a tenant may do: publish its events and see its alerts. It is an
// account of its own, so that nothing that its users name (a subject for the answer,
// say) means anything outside it.
func (f Folder) account(tenant string) (string, error) {
	producer, err := f.publicKey(producerUser + tenant)
	if err != nil {
		return "", err
	}
	subscriber, err := f.publicKey(subscribeUser + tenant)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is missing: name the tenant in TENANTS for a new one", subscribeUser+tenant+seedSuffix)
	}
	if err != nil {
		return "", err
	}
	return strings.NewReplacer("TENANT", tenant, "PRODUCER", producer, "SUBSCRIBER", subscriber).Replace(tenantAccount), nil
}

// tenantAccount: an account sees only what it imports. Of its two users one alone has an
// inbox, so that neither sees the other's answers. With these limits one tenant cannot
// take all connections.
const tenantAccount = `
"tenant-TENANT": {
  limits: { max_connections: 500, max_subscriptions: 1000 }
  imports: [
    { service: { account: RAW, subject: "` + schemas.RawPrefix + `.TENANT.*" } }
    { stream: { account: SLUICE, subject: "` + schemas.AlertsPrefix + `.TENANT.>" } }
  ]
  users: [
    { nkey: PRODUCER, permissions: {
      publish: ["` + schemas.RawPrefix + `.TENANT.*"], subscribe: ["_INBOX.>", "_INBOX_producer.>"] } }
    { nkey: SUBSCRIBER, permissions: {
      publish: { deny: ">" }, subscribe: ["` + schemas.AlertsPrefix + `.TENANT.>"] } }
  ]
}
`
