package sink

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"sluice/internal/daemon"
	"sluice/schemas"
)

// spread makes more events of the 100,000 that were generated: other ids, times,
// people, addresses and requests, each copy 20 hours after the last.
const spread = `INSERT INTO sluice.events (pk, tenant, action, app, created, expires, expiry, leaves, cohort, user_pk, username, user_email, client_ip,
brand_name, http_path, http_method, user_agent, request_id, auth_method, message, tried_username, model_app, model_name, model_pk,
application_name, application_pk, geo_country, geo_city, asn, as_org, new_version, context, user, brand, extra, redacted, fingerprints, traceparent, stream_seq)
WITH %[1]d AS copy, lower(hex(MD5(concat(request_id, toString(copy))))) AS request
SELECT generateUUIDv4(), tenant, action, app, created + INTERVAL copy * 20 HOUR, expires + INTERVAL copy * 20 HOUR, expiry,
leaves + INTERVAL intDiv(copy * 20, 24) DAY, leaves + INTERVAL intDiv(copy * 20, 24) DAY,
user_pk, if(username = '', '', concat(username, '-', toString(copy %% 20))), user_email,
if(client_ip = toIPv6('::'), client_ip, toIPv6(IPv4NumToString(toUInt32(bitAnd(cityHash64(client_ip, copy %% 20), 4294967295))))),
brand_name, http_path, http_method, user_agent, if(request_id = '', '', request), auth_method, message, tried_username, model_app, model_name, model_pk,
application_name, application_pk, geo_country, geo_city, asn, as_org, new_version,
if(request_id = '', context, replaceOne(context, request_id, request)), user, brand, extra, redacted, fingerprints, traceparent, stream_seq + copy * 100000
FROM sluice.base SETTINGS max_partitions_per_insert_block = 0, max_insert_threads = 1, insert_deduplicate = 0,
min_insert_block_size_rows = 50000, min_insert_block_size_bytes = 0`

// BenchmarkTable fills a table with b.N times 100,000 events and keeps it in the
// folder SLUICE_TABLE_DIR, for docs/decisions/0007-table.md:
//
//	SLUICE_TABLE_DIR=/some/folder go test ./sink -run '^$' -bench Table -benchtime 100x -timeout 1h
func BenchmarkTable(b *testing.B) {
	dir := os.Getenv("SLUICE_TABLE_DIR")
	if dir == "" {
		b.Skip("SLUICE_TABLE_DIR is not set")
	}
	e, err := launch(filepath.Join(dir, strconv.Itoa(b.N)), "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer e.kill()
	do := func(statement string) {
		if _, err := e.try(statement); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := Migrate(b.Context(), e.settings()); err != nil {
		b.Fatal(err)
	}
	insertGenerated(b, e, 100_000)
	do("RENAME TABLE sluice.events TO sluice.base")
	do("CREATE TABLE sluice.events AS sluice.base")
	b.ResetTimer()
	for i := range b.N {
		do(fmt.Sprintf(spread, i))
	}
	b.ReportMetric(float64(b.N)*100_000/b.Elapsed().Seconds(), "rows/s")
}

// insertGenerated puts generated events into the table, as the sink does it.
func insertGenerated(b *testing.B, e *engine, count int) {
	b.Helper()
	cmd := exec.Command(filepath.Join("..", "bin", "producer"), "generate", "-n", strconv.Itoa(count), "-seed", "1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	db, err := openClickHouse(b.Context(), e.settings(), newMetrics(daemon.NewTelemetry().Registry), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	var batch []entry
	m, lines := newMapper(testRetention), bufio.NewScanner(out)
	lines.Buffer(nil, 1<<22)
	flush := func() {
		if err := db.insert(b.Context(), batch, uuid.NewString()); err != nil {
			b.Fatal(err)
		}
		batch = batch[:0]
	}
	tenants := []string{"default", "acme", "lab", "shop"}
	start := time.Now()
	for n := 0; lines.Scan(); n++ {
		action := "login"
		r, err := m.row(cleanMessage{
			subject: schemas.CleanSubject(tenants[n%7%4], action), header: nats.Header{}, data: append([]byte(nil), lines.Bytes()...),
			stream: schemas.StreamClean, sequence: uint64(n), storedAt: start,
		})
		if err != nil {
			b.Fatal(err)
		}
		batch = append(batch, entry{row: r})
		if len(batch) == 50_000 {
			flush()
		}
	}
	flush()
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
}
