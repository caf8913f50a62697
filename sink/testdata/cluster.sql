CREATE DATABASE IF NOT EXISTS sluice ON CLUSTER 'events-eu';

CREATE TABLE IF NOT EXISTS sluice.schema_version ON CLUSTER 'events-eu' (version_id Int64, is_applied UInt8, date Date DEFAULT now(), tstamp DateTime DEFAULT now()) ENGINE = ReplicatedMergeTree('/clickhouse/tables/sluice/schema_version', '{shard}-{replica}') ORDER BY version_id;

CREATE TABLE IF NOT EXISTS sluice.events_local ON CLUSTER 'events-eu'
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/sluice/events', '{replica}')
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
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800,
    -- What a replica fetches counts for the quorum, so it survives a power cut too.
    min_compressed_bytes_to_fsync_after_fetch = 1,
    -- An inserted part is a few files, not some for each column: fewer fsyncs.
    min_bytes_for_wide_part = 268435456,
    -- Of a partition that is at rest one part is made: each part costs every question.
    min_age_to_force_merge_seconds = 3600,
    min_age_to_force_merge_on_partition_only = 1,
    -- Merges and removals keep the projections.
    deduplicate_merge_projection_mode = 'rebuild',
    lightweight_mutation_projection_mode = 'rebuild',
    -- How soon after its leaving a row is removed, in seconds.
    merge_with_ttl_timeout = 600;

CREATE TABLE IF NOT EXISTS sluice.events ON CLUSTER 'events-eu' AS sluice.events_local ENGINE = Distributed('events-eu', 'sluice', 'events_local', sipHash64(pk));

CREATE OR REPLACE VIEW sluice.failed_logins ON CLUSTER 'events-eu' SQL SECURITY INVOKER AS
SELECT tenant, toStartOfHour(created) AS hour, if(tried_username != '', tried_username, events.username) AS user, client_ip,
       count() AS failures, min(created) AS first, max(created) AS last
FROM sluice.events
WHERE action = 'login_failed' AND expires > now()
  AND created >= {since:DateTime('UTC')} AND created < {until:DateTime('UTC')}
GROUP BY tenant, hour, user, client_ip;

CREATE OR REPLACE VIEW sluice.brute_force ON CLUSTER 'events-eu' SQL SECURITY INVOKER AS
SELECT tenant, if(tried_username != '', tried_username, events.username) AS user, count() AS failures,
       uniqExact(client_ip) AS addresses, topK(3)(client_ip) AS mostly_from, min(created) AS first, max(created) AS last
FROM sluice.events
WHERE action = 'login_failed' AND expires > now()
  AND created >= {since:DateTime('UTC')} AND created < {until:DateTime('UTC')}
GROUP BY tenant, user
HAVING failures >= {failures:UInt32};

CREATE OR REPLACE VIEW sluice.password_spraying ON CLUSTER 'events-eu' SQL SECURITY INVOKER AS
SELECT tenant, client_ip, uniqExact(if(tried_username != '', tried_username, events.username)) AS people, count() AS failures,
       any(geo_country) AS country, any(as_org) AS operator, min(created) AS first, max(created) AS last
FROM sluice.events
WHERE action = 'login_failed' AND expires > now()
  AND created >= {since:DateTime('UTC')} AND created < {until:DateTime('UTC')}
GROUP BY tenant, client_ip
HAVING people >= {people:UInt32};

CREATE OR REPLACE VIEW sluice.impersonations ON CLUSTER 'events-eu' SQL SECURITY INVOKER AS
SELECT tenant, admin, acted_as, started, if(next_action = 'impersonation_ended', next_at, NULL) AS ended,
       dateDiff('second', started, ended) AS seconds, reason, client_ip, pk
FROM
(
    SELECT tenant, action, created AS started, username AS admin, client_ip, pk,
           JSONExtractString(events.user, 'on_behalf_of', 'username') AS acted_as,
           JSONExtractString(context, 'reason') AS reason,
           leadInFrame(action) OVER following AS next_action,
           leadInFrame(created) OVER following AS next_at
    FROM sluice.events
    WHERE action IN ('impersonation_started', 'impersonation_ended') AND expires > now()
      AND created >= {since:DateTime('UTC')} AND created < {until:DateTime('UTC')} + INTERVAL 1 DAY
    WINDOW following AS (PARTITION BY tenant, user_pk, username ORDER BY created, pk ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
)
WHERE action = 'impersonation_started' AND started < {until:DateTime('UTC')};

CREATE OR REPLACE VIEW sluice.application_usage ON CLUSTER 'events-eu' SQL SECURITY INVOKER AS
SELECT tenant, application_name, events.username AS username, count() AS authorizations, min(created) AS first, max(created) AS last
FROM sluice.events
WHERE action = 'authorize_application' AND expires > now()
  AND created >= {since:DateTime('UTC')} AND created < {until:DateTime('UTC')}
GROUP BY tenant, application_name, username;

CREATE OR REPLACE VIEW sluice.model_history ON CLUSTER 'events-eu' SQL SECURITY INVOKER AS
SELECT tenant, created, action, username, client_ip, model_app, model_name, model_pk,
       JSONExtractString(context, 'model', 'name') AS name, JSONExtractRaw(context, 'diff') AS diff, pk
FROM sluice.events
WHERE action IN ('model_created', 'model_updated', 'model_deleted') AND expires > now()
  AND model_pk = {model_pk:String};

CREATE OR REPLACE VIEW sluice.exceptions ON CLUSTER 'events-eu' SQL SECURITY INVOKER AS
SELECT tenant, app, action, replaceRegexpAll(events.message, '0x[0-9a-fA-F]+|[0-9a-fA-F]{32}|[0-9a-fA-F-]{36}|[0-9]+', '#') AS message,
       count() AS times, min(created) AS first, max(created) AS last, argMax(pk, created) AS latest
FROM sluice.events
WHERE action IN ('system_exception', 'system_task_exception', 'policy_exception', 'property_mapping_exception') AND expires > now()
  AND created >= {since:DateTime('UTC')} AND created < {until:DateTime('UTC')}
GROUP BY tenant, app, action, message;

CREATE OR REPLACE VIEW sluice.first_logins ON CLUSTER 'events-eu' SQL SECURITY INVOKER AS
SELECT tenant, username, geo_country AS country, asn, any(events.as_org) AS operator, min(created) AS first, count() AS logins,
       argMin(client_ip, created) AS client_ip, argMin(pk, created) AS pk,
       row_number() OVER (PARTITION BY tenant, username ORDER BY min(created)) > 1 AS is_new
FROM sluice.events
WHERE action = 'login' AND expires > now() AND created < {until:DateTime('UTC')}
GROUP BY tenant, username, country, asn
QUALIFY first >= {since:DateTime('UTC')};

CREATE OR REPLACE VIEW sluice.secrets_viewed ON CLUSTER 'events-eu' SQL SECURITY INVOKER AS
SELECT tenant, created, username, JSONExtractString(events.user, 'on_behalf_of', 'username') AS acted_as, client_ip,
       JSONExtractString(context, 'secret', 'model_name') AS kind, JSONExtractString(context, 'secret', 'name') AS secret, pk
FROM sluice.events
WHERE action = 'secret_view' AND expires > now()
  AND created >= {since:DateTime('UTC')} AND created < {until:DateTime('UTC')};

CREATE OR REPLACE VIEW sluice.events_by_hour ON CLUSTER 'events-eu' SQL SECURITY INVOKER AS
SELECT tenant, action, toStartOfHour(created) AS hour, count() AS events
FROM sluice.events
GROUP BY tenant, action, hour;

CREATE OR REPLACE VIEW sluice.redactions ON CLUSTER 'events-eu' SQL SECURITY INVOKER AS
SELECT tenant, app, action, arrayJoin(redacted) AS pointer, count() AS times, min(created) AS first, max(created) AS last
FROM sluice.events
WHERE notEmpty(redacted) AND expires > now()
  AND created >= {since:DateTime('UTC')} AND created < {until:DateTime('UTC')}
GROUP BY tenant, app, action, pointer;

CREATE ROLE IF NOT EXISTS sluice_analyst ON CLUSTER 'events-eu' SETTINGS readonly = 2;

CREATE ROLE IF NOT EXISTS sluice_tenant_analyst ON CLUSTER 'events-eu' SETTINGS readonly = 2;

GRANT ON CLUSTER 'events-eu' SELECT ON sluice.events TO sluice_analyst, sluice_tenant_analyst;

GRANT ON CLUSTER 'events-eu' SELECT ON sluice.events_local TO sluice_analyst, sluice_tenant_analyst;

GRANT ON CLUSTER 'events-eu' SELECT ON sluice.failed_logins TO sluice_analyst, sluice_tenant_analyst;

GRANT ON CLUSTER 'events-eu' SELECT ON sluice.brute_force TO sluice_analyst, sluice_tenant_analyst;

GRANT ON CLUSTER 'events-eu' SELECT ON sluice.password_spraying TO sluice_analyst, sluice_tenant_analyst;

GRANT ON CLUSTER 'events-eu' SELECT ON sluice.impersonations TO sluice_analyst, sluice_tenant_analyst;

GRANT ON CLUSTER 'events-eu' SELECT ON sluice.application_usage TO sluice_analyst, sluice_tenant_analyst;

GRANT ON CLUSTER 'events-eu' SELECT ON sluice.model_history TO sluice_analyst, sluice_tenant_analyst;

GRANT ON CLUSTER 'events-eu' SELECT ON sluice.exceptions TO sluice_analyst, sluice_tenant_analyst;

GRANT ON CLUSTER 'events-eu' SELECT ON sluice.first_logins TO sluice_analyst, sluice_tenant_analyst;

GRANT ON CLUSTER 'events-eu' SELECT ON sluice.secrets_viewed TO sluice_analyst, sluice_tenant_analyst;

GRANT ON CLUSTER 'events-eu' SELECT ON sluice.events_by_hour TO sluice_analyst, sluice_tenant_analyst;

GRANT ON CLUSTER 'events-eu' SELECT ON sluice.redactions TO sluice_analyst, sluice_tenant_analyst;

CREATE ROW POLICY OR REPLACE sluice_tenant ON CLUSTER 'events-eu' ON sluice.events FOR SELECT
    USING has(enabledRoles(), concat('sluice_tenant_', tenant)) AS PERMISSIVE TO sluice_tenant_analyst;

CREATE ROW POLICY OR REPLACE sluice_tenant ON CLUSTER 'events-eu' ON sluice.events_local FOR SELECT
    USING has(enabledRoles(), concat('sluice_tenant_', tenant)) AS PERMISSIVE TO sluice_tenant_analyst;

CREATE ROW POLICY OR REPLACE sluice_others ON CLUSTER 'events-eu' ON sluice.events FOR SELECT
    USING 1 AS PERMISSIVE TO ALL EXCEPT sluice_tenant_analyst;

CREATE ROW POLICY OR REPLACE sluice_others ON CLUSTER 'events-eu' ON sluice.events_local FOR SELECT
    USING 1 AS PERMISSIVE TO ALL EXCEPT sluice_tenant_analyst;

CREATE TABLE IF NOT EXISTS sluice.erasing ON CLUSTER 'events-eu' (pk UUID) ENGINE = ReplicatedMergeTree('/clickhouse/tables/sluice/erasing', '{shard}-{replica}') ORDER BY pk COMMENT 'pks of the rows that `sink erase` is removing';

INSERT INTO sluice.erasing SETTINGS insert_deduplicate = 0, deduplicate_insert_select = 'disable' SELECT pk FROM sluice.events WHERE ((user_pk = 'ann' OR username = 'ann' OR user_email = 'ann' OR (JSONExtract(user, 'on_behalf_of', 'String') = 'ann' OR JSONExtract(user, 'on_behalf_of', 'pk', 'String') = 'ann' OR JSONExtract(user, 'on_behalf_of', 'username', 'String') = 'ann' OR JSONExtract(user, 'on_behalf_of', 'email', 'String') = 'ann') OR (JSONExtract(user, 'authenticated_as', 'String') = 'ann' OR JSONExtract(user, 'authenticated_as', 'pk', 'String') = 'ann' OR JSONExtract(user, 'authenticated_as', 'username', 'String') = 'ann' OR JSONExtract(user, 'authenticated_as', 'email', 'String') = 'ann'))) AND pk NOT IN (SELECT pk FROM sluice.erasing);

SYSTEM SYNC REPLICA ON CLUSTER 'events-eu' sluice.erasing;

TRUNCATE TABLE IF EXISTS sluice.erasing ON CLUSTER 'events-eu';

SELECT count(), toUInt64(any(lifetime)), max(remove_time) + any(lifetime) < now() FROM clusterAllReplicas('events-eu', view(SELECT remove_time FROM system.parts WHERE database = 'sluice' AND table = 'events_local' AND _state != 'Active' AND modification_time <= toDateTime(60, 'UTC'))) AS parts, (SELECT toUInt64(value) AS lifetime FROM system.merge_tree_settings WHERE name = 'old_parts_lifetime') AS settings;

ALTER TABLE sluice.events_local ON CLUSTER 'events-eu' DELETE WHERE 0, UPDATE leaves = cohort WHERE 0;
