-- +goose NO TRANSACTION
-- +goose Up

-- One row per event, for ever unique by pk. Figures are in docs/decisions.
--
-- ORDER BY: analysts ask for one tenant, then for one action, then for a time.
-- PARTITION BY: what expires together leaves together. Years far away share a
-- partition each side, so that no publisher can make thousands of them.
-- ReplacingMergeTree is the last guard: the sink stores no pk twice.
-- ctx: a cast would fail the whole query for one context with a name twice.
-- by_pk: what the sink looks every pk up in. A granule of 256 pks in blocks of
-- 4 KB is what one look-up reads; index_granularity of the table is such that
-- ClickHouse finds the projection the cheaper one.
CREATE TABLE IF NOT EXISTS sluice.events
(
    pk          UUID CODEC(NONE),
    tenant      LowCardinality(String),
    action      LowCardinality(String),
    app         LowCardinality(String),
    created     DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    expires     DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    user_pk     String COMMENT 'number or string of user.pk as text' CODEC(ZSTD(1)),
    username    String CODEC(ZSTD(1)),
    user_email  String CODEC(ZSTD(1)),
    client_ip   IPv6 COMMENT 'IPv4 as ::ffff:a.b.c.d, or :: when unknown' CODEC(ZSTD(1)),
    brand_name  LowCardinality(String),
    context     String COMMENT 'JSON object, byte for byte as it was published and masked' CODEC(ZSTD(1)),
    ctx         JSON ALIAS JSONExtract(context, 'JSON')
                COMMENT 'context for dot paths: ctx.http_request.path, {} where the JSON type cannot hold it',
    user        String COMMENT 'JSON object' CODEC(ZSTD(1)),
    brand       String COMMENT 'JSON object' CODEC(ZSTD(1)),
    extra       String COMMENT 'JSON object of the members beyond the contract' CODEC(ZSTD(1)),
    redacted    Array(String) COMMENT 'JSON Pointers of what was masked' CODEC(ZSTD(1)),
    traceparent String CODEC(ZSTD(1)),
    stream_seq  UInt64 COMMENT 'sequence in EVENTS_CLEAN' CODEC(Delta(8), ZSTD(1)),
    stored_at   DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta(8), ZSTD(1)),
    PROJECTION by_pk (SELECT pk ORDER BY pk)
        WITH SETTINGS (index_granularity = 256, min_compress_block_size = 2048, max_compress_block_size = 4096)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(greatest(toDateTime('2020-01-01', 'UTC'), least(expires, toDateTime('2050-01-01', 'UTC'))))
PRIMARY KEY (tenant, action, created)
ORDER BY (tenant, action, created, pk)
TTL expires
SETTINGS
    index_granularity = 1024,
    -- An acknowledged row survives a power cut.
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    -- A block that is sent again under its token is dropped.
    non_replicated_deduplication_window = 10000,
    -- Merges keep the projection.
    deduplicate_merge_projection_mode = 'rebuild',
    -- How soon after its expiry a row is removed, in seconds.
    merge_with_ttl_timeout = 3600;
