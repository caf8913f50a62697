-- The table as migration 3 made it, under the name it has while rows move into it.
-- docs/decisions/0007-table.md has the figures behind each choice.
--
-- PARTITION BY cohort: what leaves together lies together, so that its parts are
-- dropped whole. leaves may be changed later by a new retention, cohort never.
-- ORDER BY: analysts ask for one tenant, then for one action, then for a time.
-- ReplacingMergeTree is the last guard: the sink stores no pk twice.
-- ctx: a cast would fail the whole query for one context with a name twice.
-- by_pk: what the sink looks every pk up in. A granule of 256 pks in blocks of
-- 4 KB is what one look-up reads; index_granularity of the table is such that
-- ClickHouse finds the projection the cheaper one.
-- ignore(created) is always 0 and makes no partition more. But ClickHouse keeps the range
-- of every column of the partition key in memory, part by part: so a question about some
-- days leaves the parts of other times out before it opens a file.
-- by_hour: the rollup; unlike a materialized view it follows every removal.
-- DEFAULT: what an older sink, or whoever inserts by hand, leaves out.
CREATE TABLE IF NOT EXISTS sluice.events_next
(
    pk           UUID CODEC(NONE),
    tenant       LowCardinality(String),
    action       LowCardinality(String),
    app          LowCardinality(String),
    created      DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    expires      DateTime('UTC') COMMENT 'when it expires; 2106-02-07 06:28:15 for never' CODEC(Delta(4), ZSTD(1)),
    expiry       Enum8('retention' = 1, 'own' = 2, 'never' = 3) DEFAULT if(JSONExtractRaw(extra, 'expiring') = 'false', 'never', 'own')
                 COMMENT 'where expires is from: the retention of the tenant, the event itself, or expiring: false' CODEC(ZSTD(1)),
    leaves       DateTime('UTC') DEFAULT multiIf(
                     expiry = 'never' OR expires >= toDateTime('2106-02-01 00:00:00', 'UTC'), toDateTime('2106-02-07 06:28:15', 'UTC'),
                     expires <= stored_at, toStartOfDay(toDateTime(stored_at, 'UTC')),
                     expires <= stored_at + INTERVAL 1 HOUR, toStartOfMinute(expires + 59),
                     expires <= stored_at + INTERVAL 2 DAY, toStartOfHour(expires + 3599),
                     expires <= stored_at + INTERVAL 400 DAY, toStartOfDay(expires + 86399),
                     toDateTime(toStartOfMonth(expires - 1), 'UTC') + INTERVAL 1 MONTH)
                 COMMENT 'when the row is removed: expires, rounded up' CODEC(Delta(4), ZSTD(1)),
    cohort       DateTime('UTC') DEFAULT leaves COMMENT 'leaves as it was when the row was stored' CODEC(Delta(4), ZSTD(1)),
    user_pk      String COMMENT 'number or string of user.pk as text' CODEC(ZSTD(1)),
    username     String CODEC(ZSTD(1)),
    user_email   String CODEC(ZSTD(1)),
    client_ip    IPv6 COMMENT 'IPv4 as ::ffff:a.b.c.d, or :: when unknown' CODEC(ZSTD(1)),
    brand_name   LowCardinality(String),
    http_path    String DEFAULT JSONExtractString(context, 'http_request', 'path') CODEC(ZSTD(1)),
    http_method  String DEFAULT JSONExtractString(context, 'http_request', 'method') CODEC(ZSTD(1)),
    user_agent   String DEFAULT JSONExtractString(context, 'http_request', 'user_agent') CODEC(ZSTD(1)),
    request_id   String DEFAULT JSONExtractString(context, 'http_request', 'request_id') CODEC(ZSTD(1)),
    auth_method  String DEFAULT JSONExtractString(context, 'auth_method') CODEC(ZSTD(1)),
    message      String DEFAULT JSONExtractString(context, 'message') CODEC(ZSTD(1)),
    tried_username   String DEFAULT JSONExtractString(context, 'username') COMMENT 'context.username: whom a failed login tried' CODEC(ZSTD(1)),
    model_app        String DEFAULT JSONExtractString(context, 'model', 'app') CODEC(ZSTD(1)),
    model_name       String DEFAULT JSONExtractString(context, 'model', 'model_name') CODEC(ZSTD(1)),
    model_pk         String DEFAULT JSONExtract(context, 'model', 'pk', 'String') COMMENT 'number or string as text' CODEC(ZSTD(1)),
    application_name String DEFAULT JSONExtractString(context, 'authorized_application', 'name') CODEC(ZSTD(1)),
    application_pk   String DEFAULT JSONExtract(context, 'authorized_application', 'pk', 'String') COMMENT 'number or string as text' CODEC(ZSTD(1)),
    geo_country  String DEFAULT JSONExtractString(context, 'geo', 'country') CODEC(ZSTD(1)),
    geo_city     String DEFAULT JSONExtractString(context, 'geo', 'city') CODEC(ZSTD(1)),
    asn          UInt32 DEFAULT JSONExtractUInt(context, 'asn', 'asn') COMMENT '0 when unknown' CODEC(ZSTD(1)),
    as_org       String DEFAULT JSONExtractString(context, 'asn', 'as_org') CODEC(ZSTD(1)),
    new_version  String DEFAULT JSONExtractString(context, 'new_version') CODEC(ZSTD(1)),
    context      String COMMENT 'JSON object, byte for byte as it was published and masked' CODEC(ZSTD(1)),
    ctx          JSON ALIAS JSONExtract(context, 'JSON')
                 COMMENT 'context for dot paths: ctx.http_request.path, {} where the JSON type cannot hold it',
    user         String COMMENT 'JSON object' CODEC(ZSTD(1)),
    brand        String COMMENT 'JSON object' CODEC(ZSTD(1)),
    extra        String COMMENT 'JSON object of the members beyond the contract' CODEC(ZSTD(1)),
    redacted     Array(String) COMMENT 'JSON Pointers of what was masked' CODEC(ZSTD(1)),
    fingerprints Array(String) COMMENT 'keyed fingerprints of the tokens that were masked' CODEC(ZSTD(1)),
    traceparent  String CODEC(ZSTD(1)),
    stream_seq   UInt64 COMMENT 'sequence in EVENTS_CLEAN' CODEC(Delta(8), ZSTD(1)),
    stored_at    DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta(8), ZSTD(1)),
    PROJECTION by_pk (SELECT pk ORDER BY pk)
        WITH SETTINGS (index_granularity = 256, min_compress_block_size = 2048, max_compress_block_size = 4096),
    PROJECTION by_hour (SELECT tenant, action, toStartOfHour(created), count() GROUP BY tenant, action, toStartOfHour(created))
)
ENGINE = ReplacingMergeTree
PARTITION BY (cohort, ignore(created))
PRIMARY KEY (tenant, action, created)
ORDER BY (tenant, action, created, pk)
TTL leaves
SETTINGS
    index_granularity = 1024,
    -- An acknowledged row survives a power cut.
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    -- A block that is sent again under its token is dropped.
    non_replicated_deduplication_window = 10000,
    -- An inserted part is a few files, not some for each column: fewer fsyncs.
    min_bytes_for_wide_part = 268435456,
    -- Of a partition that is at rest one part is made: each part costs every question.
    min_age_to_force_merge_seconds = 3600,
    min_age_to_force_merge_on_partition_only = 1,
    -- Merges and removals keep the projections.
    deduplicate_merge_projection_mode = 'rebuild',
    lightweight_mutation_projection_mode = 'rebuild',
    -- How soon after its leaving a row is removed, in seconds.
    merge_with_ttl_timeout = 600
