// Command otelcol is an OpenTelemetry Collector of upstream's components that come into
// question for audit events: redactionprocessor and clickhouseexporter. Its NATS receiver
// and exporter are Sluice's (package natsshim), since upstream has none. It exists to be
// measured beside Sluice.
package main

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/clickhouseexporter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/redactionprocessor"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"

	"sluice/bench/peers/otelcol/natsshim"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "components-versions" {
		versions(os.Stdout)
		return
	}
	command := otelcol.NewCommand(otelcol.CollectorSettings{
		Factories: factories,
		BuildInfo: component.BuildInfo{Command: "otelcol", Description: "OpenTelemetry Collector behind a NATS shim of Sluice's", Version: "bench"},
		ConfigProviderSettings: otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
			ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory(), envprovider.NewFactory()},
			DefaultScheme:     "env",
		}},
	})
	if err := command.Execute(); err != nil {
		os.Exit(1) // it has said why
	}
}

func factories() (f otelcol.Factories, err error) {
	f.Telemetry = otelconftelemetry.NewFactory()
	if f.Receivers, err = otelcol.MakeFactoryMap[receiver.Factory](natsshim.NewReceiverFactory()); err != nil {
		return f, err
	}
	if f.Processors, err = otelcol.MakeFactoryMap[processor.Factory](redactionprocessor.NewFactory()); err != nil {
		return f, err
	}
	f.Exporters, err = otelcol.MakeFactoryMap[exporter.Factory](natsshim.NewExporterFactory(), clickhouseexporter.NewFactory())
	return f, err
}

// versions prints those of the components, for the report.
func versions(to io.Writer) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	for _, dep := range info.Deps {
		name := dep.Path[strings.LastIndexByte(dep.Path, '/')+1:]
		switch name {
		case "otelcol", "redactionprocessor", "clickhouseexporter":
			fmt.Fprintln(to, name, dep.Version)
		}
	}
}
