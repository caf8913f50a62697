package receiver

import (
	"context"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"sluice/schemas"
)

const (
	// alertmanagerPath is where its API takes alerts.
	alertmanagerPath = "/api/v2/alerts"
	// defaultKeepFiring is an hour more than the day after which the notifier says
	// by itself that a trouble is over.
	defaultKeepFiring = 25 * time.Hour
)

// readAlertmanager reads an Alertmanager, which gets alerts by its API v2.
func readAlertmanager(d *definition) (members, finish) {
	var (
		at     endpoint
		labels = map[string]string{}
		keep   = defaultKeepFiring
	)
	known := members{
		"labels": func(n *yaml.Node) {
			d.pairs(n, "labels", func(n *yaml.Node, key, name, value string) {
				if !labelName(name) {
					d.wrongf(n, key, "a label's name is letters, digits and _")
				}
				labels[name] = value
			})
		},
		"keep_firing": func(n *yaml.Node) { keep = d.duration(n, "keep_firing", time.Minute, 60*24*time.Hour) },
	}
	d.readEndpoint(known, &at, true)
	return known, func() func(Env) (Sender, error) {
		d.finishEndpoint(&at)
		return func(env Env) (Sender, error) {
			c, err := at.open(env, alertmanagerPath)
			if err != nil {
				return nil, err
			}
			return &alertmanager{client: c, labels: labels, keep: keep}, nil
		}
	}
}

func labelName(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
	return name != "" && strings.Trim(name[:1], letters) == "" && strings.Trim(name, letters+"0123456789") == ""
}

type alertmanager struct {
	*client

	labels map[string]string
	keep   time.Duration
}

// postableAlert is what Alertmanager's API takes.
type postableAlert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

// Send implements Sender.
func (a *alertmanager) Send(ctx context.Context, n Notice) error {
	body, err := n.encode([]postableAlert{a.alert(n)})
	if err != nil {
		return err
	}
	return a.send(ctx, http.MethodPost, "application/json", body, nil)
}

// alert is the notice in Alertmanager's terms. The labels are the same for all
// alerts of one trouble, since by them it knows it. An end in the future is when
// it takes the trouble for over should it hear nothing more.
func (a *alertmanager) alert(n Notice) postableAlert {
	d := n.Alert.Data
	p := postableAlert{
		Labels: map[string]string{
			"alertname": d.Action, "severity": string(d.Severity), "tenant": d.Tenant, "fingerprint": d.Fingerprint,
		},
		Annotations: map[string]string{
			"summary": d.Title, "description": d.Message, "count": strconv.FormatUint(d.Count, 10),
			"last_seen": d.LastSeen.UTC().Format(time.RFC3339), "alert_id": n.Alert.ID,
		},
		StartsAt: d.FirstSeen.UTC(), EndsAt: n.Alert.Time.UTC().Add(a.keep),
	}
	if n.Why != "" {
		p.Annotations["why"] = n.Why
	}
	if n.Silence != "" {
		p.Annotations["silence"] = n.Silence
	}
	if d.App != "" { // Alertmanager refuses an empty label
		p.Labels["app"] = d.App
	}
	maps.Copy(p.Labels, a.labels)
	if n.Alert.Type == schemas.AlertResolved {
		p.EndsAt = n.Alert.Time.UTC()
	}
	if p.EndsAt.Before(p.StartsAt) { // it refuses that too
		p.StartsAt = p.EndsAt
	}
	return p
}
