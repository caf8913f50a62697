package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
)

// bill is the CycloneDX bill of materials of some binaries: what Go wrote into
// them of their modules, with each module's checksum and licence.
func (r release) bill(binaries []string) ([]byte, error) {
	parts := map[string]cyclonedx.Component{}
	var needs []cyclonedx.Dependency
	var programs []string
	for _, path := range binaries {
		program, err := r.program(path)
		if err != nil {
			return nil, err
		}
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read what %s is made of: %w", path, err)
		}
		refs := []string{}
		standard := goComponent("std", info.GoVersion)
		standard.Licenses = licence("BSD-3-Clause")
		parts[standard.BOMRef] = standard
		refs = append(refs, standard.BOMRef)
		for _, m := range info.Deps {
			if strings.HasPrefix(m.Path, "sluice/") {
				continue // it is the program itself
			}
			part := goComponent(m.Path, m.Version)
			if parts[part.BOMRef].BOMRef == "" {
				if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); err == nil && len(sum) == sha256.Size {
					part.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: fmt.Sprintf("%x", sum)}}
				}
				if ids := r.licences[m.Path]; len(ids) > 0 {
					part.Licenses = licence(ids...)
				}
				parts[part.BOMRef] = part
			}
			refs = append(refs, part.BOMRef)
		}
		if info.Main.Path != "" && !strings.HasPrefix(info.Main.Path, "sluice/") { // the broker's
			program.Version = info.Main.Version
		}
		slices.Sort(refs)
		parts[program.BOMRef] = program
		programs = append(programs, program.BOMRef)
		needs = append(needs, cyclonedx.Dependency{Ref: program.BOMRef, Dependencies: &refs})
	}
	return r.encode(parts, programs, needs)
}

func (r release) encode(parts map[string]cyclonedx.Component, programs []string, needs []cyclonedx.Dependency) ([]byte, error) {
	components := make([]cyclonedx.Component, 0, len(parts))
	for _, part := range parts {
		components = append(components, part)
	}
	slices.SortFunc(components, func(a, b cyclonedx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) })
	document := cyclonedx.NewBOM()
	needs = append(needs, cyclonedx.Dependency{Ref: "sluice", Dependencies: &programs})
	slices.SortFunc(needs, func(a, b cyclonedx.Dependency) int { return strings.Compare(a.Ref, b.Ref) })
	document.Components, document.Dependencies = &components, &needs
	document.Metadata = &cyclonedx.Metadata{
		Timestamp: r.at.Format(time.RFC3339),
		Component: &cyclonedx.Component{
			BOMRef: "sluice", Type: cyclonedx.ComponentTypeApplication, Name: "sluice", Version: r.version, Licenses: licence("Apache-2.0"),
		},
	}
	// The number follows from the content, so that the same content has the same one.
	content, err := json.Marshal(components)
	if err != nil {
		return nil, fmt.Errorf("write the bill of materials: %w", err)
	}
	document.SerialNumber = "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceURL, append([]byte(r.version), content...)).String()
	var out bytes.Buffer
	encoder := cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON)
	encoder.SetPretty(true)
	if err := encoder.Encode(document); err != nil {
		return nil, fmt.Errorf("write the bill of materials: %w", err)
	}
	return out.Bytes(), nil
}

// program is a binary itself.
func (r release) program(path string) (cyclonedx.Component, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return cyclonedx.Component{}, fmt.Errorf("read a binary: %w", err)
	}
	name := filepath.Base(path)
	return cyclonedx.Component{
		BOMRef: "bin/" + name, Type: cyclonedx.ComponentTypeApplication, Name: name, Version: r.version, Licenses: licence("Apache-2.0"),
		Hashes: &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: fmt.Sprintf("%x", sha256.Sum256(content))}},
	}, nil
}

func goComponent(path, version string) cyclonedx.Component {
	url := "pkg:golang/" + strings.ToLower(path) + "@" + strings.ReplaceAll(version, "+", "%2B")
	return cyclonedx.Component{BOMRef: url, Type: cyclonedx.ComponentTypeLibrary, Name: path, Version: version, PackageURL: url, Scope: cyclonedx.ScopeRequired}
}

func licence(ids ...string) *cyclonedx.Licenses {
	var all cyclonedx.Licenses
	for _, id := range ids {
		all = append(all, cyclonedx.LicenseChoice{License: &cyclonedx.License{ID: id}})
	}
	return &all
}
