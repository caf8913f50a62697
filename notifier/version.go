package notifier

import (
	"slices"

	"github.com/Masterminds/semver/v3"
)

// versions is what is known of a product: an update is news only once.
type versions struct {
	// Newest is the highest semantic version seen, "" for none.
	Newest string `json:"newest,omitempty"`
	// Others are names that are no semantic versions, the oldest first, at most
	// maxOtherVersions.
	Others []string `json:"others,omitempty"`
}

// maxOtherVersions is how many names without an order are remembered: nightly
// builds of three months.
const maxOtherVersions = 100

// isNews tells whether the version is newer than all that are known. Names that
// are no semantic versions have no order: each is news once.
func (v *versions) isNews(name string) bool {
	version, ok := parseVersion(name)
	if !ok {
		return !slices.Contains(v.Others, name)
	}
	newest, ok := parseVersion(v.Newest)
	return !ok || version.GreaterThan(newest)
}

// learn remembers a version that is news.
func (v *versions) learn(name string) {
	if _, ok := parseVersion(name); ok {
		v.Newest = name
		return
	}
	if len(v.Others) >= maxOtherVersions {
		v.Others = slices.Delete(v.Others, 0, len(v.Others)-maxOtherVersions+1)
	}
	v.Others = append(v.Others, name)
}

// parseVersion reads a semantic version, with a v before it or parts missing.
func parseVersion(name string) (*semver.Version, bool) {
	version, err := semver.NewVersion(name)
	return version, err == nil
}

// versionName keeps a version's name small: a longer one goes by its digest.
func versionName(name string) string {
	if len(name) <= maxVersionBytes {
		return name
	}
	return digest("version name", name)
}
