// Package kubernetes_test builds the manifests of deploy/kubernetes as kustomize does
// and holds that a cluster would take them: every object decodes strictly into its Go
// type, or meets the schema of its operator, and what they refer to exists.
package kubernetes_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"sluice/schemas"
)

// objects are what an overlay makes, by kind and name.
type objects map[string]any

func build(t *testing.T, overlay string) objects {
	t.Helper()
	path := filepath.Join("..", "..", "deploy", "kubernetes", "overlays", overlay)
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), path)
	if err != nil {
		t.Fatalf("build %s: %v", overlay, err)
	}
	out := objects{}
	for _, r := range built.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		name := r.GetKind() + "/" + r.GetName()
		if out[name], err = decode(t, r.GetApiVersion()+" "+r.GetKind(), text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if r.GetKind() != "Namespace" && r.GetNamespace() != "sluice" {
			t.Errorf("%s is in namespace %q", name, r.GetNamespace())
		}
	}
	return out
}

func decode(t *testing.T, kind string, text []byte) (any, error) {
	t.Helper()
	types := map[string]any{
		"v1 Namespace": &corev1.Namespace{}, "v1 ConfigMap": &corev1.ConfigMap{}, "v1 Service": &corev1.Service{},
		"v1 ServiceAccount": &corev1.ServiceAccount{}, "apps/v1 Deployment": &appsv1.Deployment{},
		"policy/v1 PodDisruptionBudget":      &policyv1.PodDisruptionBudget{},
		"networking.k8s.io/v1 NetworkPolicy": &networkingv1.NetworkPolicy{},
	}
	schemaFiles := map[string]string{
		"keda.sh/v1alpha1 ScaledObject":       "scaledobject.schema.json",
		"monitoring.coreos.com/v1 PodMonitor": "podmonitor.schema.json",
	}
	if into, known := types[kind]; known {
		return into, yaml.UnmarshalStrict(text, into)
	}
	file, known := schemaFiles[kind]
	if !known {
		return nil, fmt.Errorf("%s: no type to check it with", kind)
	}
	asJSON, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		return nil, err
	}
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join("testdata", file))
	if err != nil {
		return nil, err
	}
	return value, schema.Validate(value)
}

func TestOverlays(t *testing.T) {
	t.Parallel()
	for overlay, replicas := range map[string]int32{"single": 1, "production": 2} {
		t.Run(overlay, func(t *testing.T) {
			t.Parallel()
			all := build(t, overlay)
			for _, name := range []string{"redactor", "sink", "notifier", "door"} {
				d, ok := all["Deployment/"+name].(*appsv1.Deployment)
				if !ok {
					t.Fatalf("there is no deployment %s", name)
				}
				_, scaled := all["ScaledObject/"+name]
				switch {
				case scaled && d.Spec.Replicas != nil:
					t.Errorf("%s: KEDA and the manifest both say how many there are", name)
				case !scaled && (d.Spec.Replicas == nil || *d.Spec.Replicas != replicas):
					t.Errorf("%s: want %d replicas", name, replicas)
				}
				checkHardened(t, d)
				checkRefers(t, all, d)
				checkSettings(t, all, d)
				checkBudget(t, all, d)
			}
			checkPolicies(t, all)
		})
	}
}

// checkHardened holds what the restricted Pod Security Standard asks for, and more.
func checkHardened(t *testing.T, d *appsv1.Deployment) {
	t.Helper()
	pod := d.Spec.Template.Spec
	c := pod.Containers[0]
	s, p := c.SecurityContext, pod.SecurityContext
	for what, ok := range map[string]bool{
		"one container":             len(pod.Containers) == 1 && len(pod.InitContainers) == 0,
		"not root":                  p != nil && p.RunAsNonRoot != nil && *p.RunAsNonRoot && *p.RunAsUser > 0,
		"seccomp RuntimeDefault":    p != nil && p.SeccompProfile != nil && p.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault,
		"no new privileges":         s != nil && s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation,
		"read-only root":            s != nil && s.ReadOnlyRootFilesystem != nil && *s.ReadOnlyRootFilesystem,
		"no capabilities":           s != nil && s.Capabilities != nil && slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) && len(s.Capabilities.Add) == 0,
		"no service account token":  pod.AutomountServiceAccountToken != nil && !*pod.AutomountServiceAccountToken,
		"requests of both":          len(c.Resources.Requests) == 2,
		"limits of both":            len(c.Resources.Limits) == 2,
		"memory is not overbooked":  c.Resources.Limits.Memory().Equal(*c.Resources.Requests.Memory()),
		"alive":                     c.LivenessProbe != nil && c.LivenessProbe.HTTPGet.Path == "/livez",
		"ready":                     c.ReadinessProbe != nil && c.ReadinessProbe.HTTPGet.Path == "/readyz",
		"time to drain":             pod.TerminationGracePeriodSeconds != nil && *pod.TerminationGracePeriodSeconds >= 30,
		"spread over nodes, zones":  len(pod.TopologySpreadConstraints) == 2,
		"image with a pinned tag":   regexp.MustCompile(`^sluice/[a-z]+:[0-9]+\.[0-9]+\.[0-9]+$`).MatchString(c.Image),
		"selector is the pod's":     d.Spec.Template.Labels["app.kubernetes.io/name"] == d.Spec.Selector.MatchLabels["app.kubernetes.io/name"],
		"part of Sluice, for pods":  d.Spec.Template.Labels["app.kubernetes.io/part-of"] == "sluice",
		"no downtime while rolling": d.Spec.Strategy.RollingUpdate != nil && d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue() == 0,
	} {
		if !ok {
			t.Errorf("%s: not so: %s", d.Name, what)
		}
	}
}

// checkRefers holds that config maps exist, and that secrets come as files.
func checkRefers(t *testing.T, all objects, d *appsv1.Deployment) {
	t.Helper()
	pod := d.Spec.Template.Spec
	c := pod.Containers[0]
	mounts := map[string]string{}
	for _, m := range c.VolumeMounts {
		mounts[m.Name] = m.MountPath
		if !m.ReadOnly {
			t.Errorf("%s: %s can be written", d.Name, m.MountPath)
		}
	}
	for _, v := range pod.Volumes {
		if mounts[v.Name] == "" {
			t.Errorf("%s: volume %s is mounted nowhere", d.Name, v.Name)
		}
		if v.ConfigMap != nil && all["ConfigMap/"+v.ConfigMap.Name] == nil {
			t.Errorf("%s: there is no config map %s", d.Name, v.ConfigMap.Name)
		}
	}
	for _, e := range c.EnvFrom {
		if e.SecretRef != nil {
			t.Errorf("%s: a secret comes through the environment", d.Name)
		}
		if ref := e.ConfigMapRef; ref != nil && all["ConfigMap/"+ref.Name] == nil && (ref.Optional == nil || !*ref.Optional) {
			t.Errorf("%s: there is no config map %s", d.Name, ref.Name)
		}
	}
	for name, value := range settings(all, d) {
		if strings.HasPrefix(value, "/") && !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return filepath.Dir(value) == m.MountPath }) {
			t.Errorf("%s: %s is where nothing is mounted", d.Name, name)
		}
		if strings.Contains(value, "@") || strings.Contains(name, "PASSWORD") && !strings.HasSuffix(name, "_FILE") {
			t.Errorf("%s: %s may hold a secret", d.Name, name)
		}
	}
}

// settings are a deployment's environment variables.
func settings(all objects, d *appsv1.Deployment) map[string]string {
	out := map[string]string{}
	c := d.Spec.Template.Spec.Containers[0]
	for _, e := range c.EnvFrom {
		if m, ok := all["ConfigMap/"+e.ConfigMapRef.Name].(*corev1.ConfigMap); ok {
			maps.Copy(out, m.Data)
		}
	}
	for _, e := range c.Env {
		out[e.Name] = e.Value
	}
	return out
}

// checkSettings holds that the service knows each variable, itself or as a file that
// holds it, and that its ports are those that are probed.
func checkSettings(t *testing.T, all objects, d *appsv1.Deployment) {
	t.Helper()
	c := d.Spec.Template.Spec.Containers[0]
	image, _, _ := strings.Cut(strings.TrimPrefix(c.Image, "sluice/"), ":")
	dir := os.Getenv("SLUICE_BIN")
	if dir == "" {
		dir = filepath.Join("..", "..", "bin")
	}
	help, err := exec.CommandContext(context.Background(), filepath.Join(dir, image), append(slices.Clone(c.Args), "-h")...).Output()
	if err != nil {
		t.Fatalf("%s -h: %v: run `make build` first", image, err)
	}
	for name, value := range settings(all, d) {
		known := func(name string) bool {
			return regexp.MustCompile(`(?m)^\s+` + name + `\s`).Match(help)
		}
		if !known(name) && !known(strings.TrimSuffix(name, "_FILE")) {
			t.Errorf("%s: no such setting: %s", d.Name, name)
		}
		if port, is := strings.CutPrefix(value, ":"); is && !slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return fmt.Sprint(p.ContainerPort) == port }) {
			t.Errorf("%s: %s is port %s, which the container does not name", d.Name, name, port)
		}
	}
}

func checkBudget(t *testing.T, all objects, d *appsv1.Deployment) {
	t.Helper()
	b, ok := all["PodDisruptionBudget/"+d.Name].(*policyv1.PodDisruptionBudget)
	if !ok || b.Spec.MaxUnavailable.IntValue() != 1 || b.Spec.Selector.MatchLabels["app.kubernetes.io/name"] != d.Name {
		t.Errorf("%s: no budget of one pod at a time", d.Name)
	}
}

// checkPolicies holds that everything is forbidden but what is named, and that only the
// sink reaches ClickHouse.
func checkPolicies(t *testing.T, all objects) {
	t.Helper()
	deny, ok := all["NetworkPolicy/default-deny"].(*networkingv1.NetworkPolicy)
	if !ok || len(deny.Spec.PodSelector.MatchLabels) != 0 || len(deny.Spec.PolicyTypes) != 2 || len(deny.Spec.Ingress)+len(deny.Spec.Egress) != 0 {
		t.Error("not everything is forbidden first")
	}
	for name, object := range all {
		p, ok := object.(*networkingv1.NetworkPolicy)
		if !ok {
			continue
		}
		text, err := json.Marshal(p.Spec)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "9440") != (p.Name == "clickhouse") {
			t.Errorf("%s: ClickHouse's port", name)
		}
		for _, e := range p.Spec.Egress {
			if len(e.To) == 0 || len(e.Ports) == 0 {
				t.Errorf("%s: lets out to anywhere, or to any port", name)
			}
		}
		for _, i := range p.Spec.Ingress {
			if len(i.From) == 0 || len(i.Ports) == 0 {
				t.Errorf("%s: lets in from anywhere, or to any port", name)
			}
		}
	}
	if p, ok := all["NetworkPolicy/clickhouse"].(*networkingv1.NetworkPolicy); !ok || p.Spec.PodSelector.MatchLabels["app.kubernetes.io/name"] != "sink" {
		t.Error("others than the sink reach ClickHouse")
	}
}

// KEDA looks at the consumer that the redactors share.
func TestScalerNamesTheConsumer(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(build(t, "production")["ScaledObject/redactor"])
	if err != nil {
		t.Fatal(err)
	}
	var scaled struct {
		Spec struct {
			ScaleTargetRef struct {
				Name string `json:"name"`
			} `json:"scaleTargetRef"`
			Triggers []struct {
				Type     string            `json:"type"`
				Metadata map[string]string `json:"metadata"`
			} `json:"triggers"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(text, &scaled); err != nil {
		t.Fatal(err)
	}
	trigger, consumer := scaled.Spec.Triggers[0], schemas.RedactorConsumer()
	if scaled.Spec.ScaleTargetRef.Name != "redactor" || trigger.Type != "nats-jetstream" ||
		trigger.Metadata["stream"] != consumer.Stream || trigger.Metadata["consumer"] != consumer.Durable {
		t.Errorf("got %+v, want the consumer %s of %s", trigger, consumer.Durable, consumer.Stream)
	}
	// The names of the scaler's metadata, by its documentation of KEDA 2.20.
	for name := range trigger.Metadata {
		if !slices.Contains([]string{"natsServerMonitoringEndpoint", "account", "accountID", "stream", "consumer", "lagThreshold", "activationLagThreshold", "useHttps"}, name) {
			t.Errorf("the scaler has no %s", name)
		}
	}
}

// A mistake in a manifest is found: a field that no type has.
func TestStrict(t *testing.T) {
	t.Parallel()
	for kind, text := range map[string]string{
		"apps/v1 Deployment":                  "{apiVersion: apps/v1, kind: Deployment, spec: {replica: 1}}",
		"keda.sh/v1alpha1 ScaledObject":       "{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {}, spec: {scaleTargetRef: {name: a}, triggers: [], minReplicas: 1}}",
		"monitoring.coreos.com/v1 PodMonitor": "{apiVersion: monitoring.coreos.com/v1, kind: PodMonitor, metadata: {}, spec: {selector: {}, endpoints: []}}",
		"v1 Pod":                              "{apiVersion: v1, kind: Pod}",
	} {
		if _, err := decode(t, kind, []byte(text)); err == nil {
			t.Errorf("%s: a mistake is not found", kind)
		}
	}
}
