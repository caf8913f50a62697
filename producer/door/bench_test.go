package door_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"sluice/producer/internal/brokertest"
)

// BenchmarkServe sends events of 1 KB, to a broker that syncs each write.
func BenchmarkServe(b *testing.B) {
	event := `{"action":"login","context":{"x":"` + strings.Repeat("x", 950) + `"}}`
	for name, tc := range map[string]struct {
		clients, events int
	}{
		"clients=1/events=1": {1, 1}, "clients=64/events=1": {64, 1}, "clients=512/events=1": {512, 1}, "clients=4/events=1000": {4, 1000},
	} {
		b.Run(name, func(b *testing.B) {
			broker := brokertest.Start(b)
			broker.Raw(0)
			o := open(b, broker, nil)
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: tc.clients}}
			body := strings.Repeat(event+"\n", tc.events)
			work := make(chan struct{}, tc.clients)
			var wg sync.WaitGroup
			for range tc.clients {
				wg.Go(func() {
					for range work {
						req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, o.url+"/v1/events", strings.NewReader(body))
						if err != nil {
							b.Error(err)
							return
						}
						req.Header.Set("Content-Type", "application/x-ndjson")
						req.Header.Set("Authorization", "Bearer "+tokenAll)
						resp, err := client.Do(req)
						if err != nil {
							b.Error(err)
							return
						}
						_, _ = io.Copy(io.Discard, resp.Body) // else the connection is not used again
						_ = resp.Body.Close()
						if resp.StatusCode != http.StatusAccepted {
							b.Error(resp.Status)
						}
					}
				})
			}
			for b.Loop() {
				work <- struct{}{}
			}
			close(work)
			wg.Wait()
			b.ReportMetric(float64(b.N*tc.events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
