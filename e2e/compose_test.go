package e2e_test

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// composeProject loads compose files as docker compose does, with all profiles and
// nothing of the shell's environment.
func composeProject(t *testing.T, files ...string) *types.Project {
	t.Helper()
	for i, file := range files {
		files[i] = filepath.Join("..", file)
	}
	options, err := cli.NewProjectOptions(files, cli.WithProfiles([]string{"*"}), cli.WithResolvedPaths(true), cli.WithoutEnvironmentResolution)
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatalf("%v: %v", files, err)
	}
	return project
}

// oneShot tells of a container that is to end.
func oneShot(s types.ServiceConfig) bool { return s.Restart == types.RestartPolicyNo }

// Every container is confined, whatever image it is of.
func TestComposeConfines(t *testing.T) {
	t.Parallel()
	project := composeProject(t, "docker-compose.yml")
	if len(project.Services) < 7 {
		t.Fatalf("got %d services", len(project.Services))
	}
	for name, s := range project.Services {
		uid, _, _ := strings.Cut(s.User, ":")
		id, err := strconv.Atoi(uid)
		_, hasDefault := s.Networks["default"]
		for what, holds := range map[string]bool{
			"a user by number that is not root":      err == nil && id > 0,
			"read_only: true":                        s.ReadOnly,
			"cap_drop: [ALL]":                        slices.Equal(s.CapDrop, []string{"ALL"}) && len(s.CapAdd) == 0,
			"no-new-privileges":                      slices.Contains(s.SecurityOpt, "no-new-privileges:true"),
			"nothing of the host but what it mounts": !s.Privileged && s.Pid == "" && s.Ipc == "" && s.NetworkMode != "host" && len(s.Devices) == 0,
			"mem_limit":                              s.MemLimit > 0,
			"cpus":                                   s.CPUS > 0,
			"pids_limit":                             s.PidsLimit > 0,
			"a restart policy":                       s.Restart == types.RestartPolicyUnlessStopped || oneShot(s),
			"a health check":                         oneShot(s) || s.HealthCheck != nil && !s.HealthCheck.Disable && len(s.HealthCheck.Test) > 1,
			"a bound for its logs":                   s.Logging != nil && s.Logging.Options["max-size"] != "",
			"networks by name":                       len(s.Networks) > 0 && !hasDefault,
			"an image with a version":                pinned(s),
			"dependencies that are waited for":       waited(s),
		} {
			if !holds {
				t.Errorf("%s: want %s", name, what)
			}
		}
		for _, port := range s.Ports {
			if ip, err := netip.ParseAddr(port.HostIP); err != nil || !ip.IsLoopback() {
				t.Errorf("%s: port %d is published on %q, beyond this machine", name, port.Target, port.HostIP)
			}
		}
	}
}

// pinned: images of others have at least a version of two numbers; ours are built here.
func pinned(s types.ServiceConfig) bool {
	image, version, _ := strings.Cut(s.Image, ":")
	return strings.HasPrefix(image, "sluice/") && version != "latest" || regexp.MustCompile(`^v?\d+\.\d+`).MatchString(version)
}

func waited(s types.ServiceConfig) bool {
	for _, dependency := range s.DependsOn {
		if dependency.Condition == types.ServiceConditionStarted {
			return false
		}
	}
	return true
}

func TestComposeMounts(t *testing.T) {
	t.Parallel()
	project := composeProject(t, "docker-compose.yml")
	writable := map[string][]string{} // by volume: who may write to it
	for name, s := range project.Services {
		for _, mount := range s.Volumes {
			switch {
			case mount.Type == types.VolumeTypeBind:
				if _, err := os.Stat(mount.Source); err != nil || !mount.ReadOnly {
					t.Errorf("%s: %s: want it in the repository and mounted read-only (%v)", name, mount.Source, err)
				}
			case !mount.ReadOnly:
				writable[mount.Source] = append(writable[mount.Source], name)
			}
		}
	}
	want := map[string][]string{"nats-data": {"keys", "nats"}, "clickhouse-data": {"clickhouse"}, "grafana-data": {"grafana"}, "prometheus-data": {"prometheus"}}
	for volume := range project.Volumes {
		if strings.HasPrefix(volume, "keys") {
			want[volume] = []string{"keys"}
		}
	}
	for _, names := range writable {
		slices.Sort(names)
	}
	if !reflect.DeepEqual(writable, want) {
		t.Errorf("volumes are written to by %v, want %v", writable, want)
	}
}

// An analyst's side has no way to the broker, nor a producer's to ClickHouse.
func TestComposeNetworks(t *testing.T) {
	t.Parallel()
	project := composeProject(t, "docker-compose.yml")
	on := func(network string) []string {
		var names []string
		for name, s := range project.Services {
			if _, ok := s.Networks[network]; ok {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	for network, want := range map[string][]string{
		"ingest":     {"demo", "door", "nats"},
		"pipeline":   {"nats", "notifier", "redactor", "sink"},
		"storage":    {"clickhouse", "migrate", "sink"},
		"analysis":   {"clickhouse", "grafana"},
		"metrics":    {"door", "notifier", "prometheus", "redactor", "sink"},
		"dashboards": {"grafana", "prometheus"},
		"outside":    {"notifier"},
		"nowhere":    {"keys"},
	} {
		if got := on(network); !slices.Equal(got, want) {
			t.Errorf("%s joins %v, want %v", network, got, want)
		}
	}
	for _, network := range []string{"pipeline", "storage", "metrics", "dashboards", "nowhere"} {
		if !project.Networks[network].Internal {
			t.Errorf("%s: want it internal", network)
		}
	}
}

// Each variable is a setting of the command that the container runs, and each key
// that a container is told of is one that it is handed.
func TestComposeSettings(t *testing.T) {
	t.Parallel()
	project := composeProject(t, "docker-compose.yml")
	handedOut := t.TempDir()
	volumes := map[string]string{"keys": filepath.Join(t.TempDir(), "keys")} // volume to folder
	for volume := range project.Volumes {
		if container, ok := strings.CutPrefix(volume, "keys-"); ok {
			volumes[volume] = filepath.Join(handedOut, container)
			if err := os.Mkdir(volumes[volume], 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := start(t, nil, []string{"KEYS_DIR=" + volumes["keys"], "KEYS_HAND_OUT=" + handedOut}, "keys")
	if code := p.wait(t); code != 0 {
		t.Fatalf("keys: exit %d: %s", code, &p.stderr)
	}
	checkBroker(t, project.Services["nats"], volumes["keys-nats"])
	commands := map[string][]string{
		"keys": {"keys"}, "redactor": {"redactor"}, "sink": {"sink"}, "migrate": {"sink"}, "notifier": {"notifier"},
		"door": {"producer", "serve"}, "demo": {"producer", "generate"},
	}
	keyFile := regexp.MustCompile(`/keys/([\w.-]+)`)
	for name, s := range project.Services {
		if command, ours := commands[name]; ours {
			help := start(t, nil, nil, command[0], append(slices.Clone(command[1:]), "-h")...)
			if code := help.wait(t); code != 0 {
				t.Fatalf("%v -h: exit %d", command, code)
			}
			for variable := range s.Environment {
				if !strings.Contains(help.stdout.String(), "\n  "+variable+" ") {
					t.Errorf("%s: %s is no setting of %v", name, variable, command)
				}
			}
		} else if strings.HasPrefix(s.Image, "sluice/") {
			t.Errorf("%s: say here which command it runs", name)
		}
		var folder string
		for _, mount := range s.Volumes {
			if strings.HasSuffix(mount.Target, "/keys") {
				folder = volumes[mount.Source]
			}
		}
		told := fmt.Sprint(s.Environment.ToMapping(), s.HealthCheck)
		for _, match := range keyFile.FindAllStringSubmatch(told, -1) {
			if _, err := os.Stat(filepath.Join(folder, match[1])); err != nil {
				t.Errorf("%s is told of %s, which it is not handed", name, match[0])
			}
		}
	}
}

// checkBroker has nats-server read its configuration with the environment, and in the
// folders, that its container has.
func checkBroker(t *testing.T, s types.ServiceConfig, keys string) {
	t.Helper()
	root := t.TempDir()
	if err := os.CopyFS(filepath.Join(root, "nats"), os.DirFS(filepath.Join("..", "deploy", "nats"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(keys, filepath.Join(root, "keys")); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Rename(filepath.Join(root, "keys"), keys) }()
	cmd := exec.CommandContext(t.Context(), binary(t, "nats-server"), append(slices.Clone([]string(s.Command)), "-t")...)
	cmd.Dir = filepath.Join(root, "nats")
	cmd.Env = s.Environment.ToMapping().Values()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the broker does not take its configuration: %v: %s", err, out)
	}
}

// Secrets come from files: whoever may see a container's environment sees none.
func TestComposeHoldsNoSecret(t *testing.T) {
	t.Parallel()
	secret := regexp.MustCompile(`PASSWORD|TOKEN|SECRET|SEED|NKEY|PRIVATE|CREDS`)
	userinfo := regexp.MustCompile(`://[^/\s]*@`)
	for name, s := range composeProject(t, "docker-compose.yml").Services {
		for variable, value := range s.Environment {
			if value == nil {
				t.Errorf("%s: %s is taken from the shell", name, variable)
				continue
			}
			if secret.MatchString(variable) && !strings.HasPrefix(*value, "/keys/") || userinfo.MatchString(*value) {
				t.Errorf("%s: %s holds a secret, or may: name a file of /keys", name, variable)
			}
		}
	}
	for _, file := range []string{"docker-compose.yml", "Dockerfile", "deploy/containers/test.yml"} {
		text, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		if regexp.MustCompile(`-----BEGIN|\bS[UAOXNC][A-Z2-7]{56}\b`).Match(text) {
			t.Errorf("%s holds a key", file)
		}
		if found := regexp.MustCompile(`\$\{\w+\}`).Find(text); file != "Dockerfile" && found != nil {
			t.Errorf("%s: %s has no default: compose goes on with nothing in its place", file, found)
		}
	}
}

// The Dockerfile has what the compose file builds, from a toolchain with a version,
// and none of it runs as root.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]string{} // to what it is built on
	for _, match := range regexp.MustCompile(`(?m)^FROM (\S+) AS (\S+)$`).FindAllStringSubmatch(string(text), -1) {
		targets[match[2]] = match[1]
	}
	for name, s := range composeProject(t, "docker-compose.yml").Services {
		if s.Build != nil && targets[s.Build.Target] != "service" {
			t.Errorf("%s is built from target %q, which is not there or not built on service", name, s.Build.Target)
		}
	}
	if targets["service"] != "scratch" || !strings.Contains(string(text), "\nUSER 10001:10001\n") || strings.Count(string(text), "\nUSER ") != 1 {
		t.Error("service: want it built from scratch, and one USER, which is not root")
	}
	version := regexp.MustCompile(`ARG GO_IMAGE=golang:(\d+\.\d+)\.\d+-`).FindSubmatch(text)
	work, err := os.ReadFile(filepath.Join("..", "go.work"))
	if err != nil {
		t.Fatal(err)
	}
	if version == nil || !strings.Contains(string(work), "go "+string(version[1])+".") {
		t.Error("GO_IMAGE: want the Go of go.work, with its whole version")
	}
}

// The test stack is the real one but for the two images that it cannot pull.
func TestComposeOverrideSwapsTwoImages(t *testing.T) {
	t.Parallel()
	want := composeProject(t, "docker-compose.yml")
	got := composeProject(t, "docker-compose.yml", "deploy/containers/test.yml")
	for _, name := range []string{"nats", "clickhouse"} {
		swapped := got.Services[name]
		if swapped.Image == want.Services[name].Image {
			t.Errorf("%s: the image is not swapped", name)
		}
		swapped.Image = want.Services[name].Image
		got.Services[name] = swapped
	}
	if !slices.Equal(slices.Sorted(maps.Keys(got.Services)), slices.Sorted(maps.Keys(want.Services))) {
		t.Fatal("the override has other services")
	}
	for name := range want.Services {
		if !reflect.DeepEqual(got.Services[name], want.Services[name]) {
			t.Errorf("%s differs by more than its image", name)
		}
	}
}
