-- +goose NO TRANSACTION
-- +goose Up

-- The questions that analysts ask most, each with an example in docs/analysts.md.
-- SQL SECURITY INVOKER: row policies bind who reads a view as they bind who reads the
-- table. What has expired and was not removed yet is hidden, but in the rollup,
-- which has no single events.

-- Failed logins by user, address and hour.
CREATE OR REPLACE VIEW sluice.failed_logins /* ON CLUSTER */ SQL SECURITY INVOKER AS
SELECT tenant, toStartOfHour(created) AS hour, if(tried_username != '', tried_username, events.username) AS user, client_ip,
       count() AS failures, min(created) AS first, max(created) AS last
FROM sluice.events
WHERE action = 'login_failed' AND expires > now()
  AND created >= {since:DateTime('UTC')} AND created < {until:DateTime('UTC')}
GROUP BY tenant, hour, user, client_ip;

-- One person, many attempts.
CREATE OR REPLACE VIEW sluice.brute_force /* ON CLUSTER */ SQL SECURITY INVOKER AS
SELECT tenant, if(tried_username != '', tried_username, events.username) AS user, count() AS failures,
       uniqExact(client_ip) AS addresses, topK(3)(client_ip) AS mostly_from, min(created) AS first, max(created) AS last
FROM sluice.events
WHERE action = 'login_failed' AND expires > now()
  AND created >= {since:DateTime('UTC')} AND created < {until:DateTime('UTC')}
GROUP BY tenant, user
HAVING failures >= {failures:UInt32};

-- One address, many people.
CREATE OR REPLACE VIEW sluice.password_spraying /* ON CLUSTER */ SQL SECURITY INVOKER AS
SELECT tenant, client_ip, uniqExact(if(tried_username != '', tried_username, events.username)) AS people, count() AS failures,
       any(geo_country) AS country, any(as_org) AS operator, min(created) AS first, max(created) AS last
FROM sluice.events
WHERE action = 'login_failed' AND expires > now()
  AND created >= {since:DateTime('UTC')} AND created < {until:DateTime('UTC')}
GROUP BY tenant, client_ip
HAVING people >= {people:UInt32};

-- Who acted as somebody else, from when to when: sessions that began in that time. One
-- ends with the admin's next impersonation_ended before the next start; ended is NULL
-- while there is none, or when it came more than a day after that time.
CREATE OR REPLACE VIEW sluice.impersonations /* ON CLUSTER */ SQL SECURITY INVOKER AS
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

-- Who used which application.
CREATE OR REPLACE VIEW sluice.application_usage /* ON CLUSTER */ SQL SECURITY INVOKER AS
SELECT tenant, application_name, events.username AS username, count() AS authorizations, min(created) AS first, max(created) AS last
FROM sluice.events
WHERE action = 'authorize_application' AND expires > now()
  AND created >= {since:DateTime('UTC')} AND created < {until:DateTime('UTC')}
GROUP BY tenant, application_name, username;

-- What happened to one object.
CREATE OR REPLACE VIEW sluice.model_history /* ON CLUSTER */ SQL SECURITY INVOKER AS
SELECT tenant, created, action, username, client_ip, model_app, model_name, model_pk,
       JSONExtractString(context, 'model', 'name') AS name, JSONExtractRaw(context, 'diff') AS diff, pk
FROM sluice.events
WHERE action IN ('model_created', 'model_updated', 'model_deleted') AND expires > now()
  AND model_pk = {model_pk:String};

-- Exceptions by what they say, with numbers and ids taken out.
CREATE OR REPLACE VIEW sluice.exceptions /* ON CLUSTER */ SQL SECURITY INVOKER AS
SELECT tenant, app, action, replaceRegexpAll(events.message, '0x[0-9a-fA-F]+|[0-9a-fA-F]{32}|[0-9a-fA-F-]{36}|[0-9]+', '#') AS message,
       count() AS times, min(created) AS first, max(created) AS last, argMax(pk, created) AS latest
FROM sluice.events
WHERE action IN ('system_exception', 'system_task_exception', 'policy_exception', 'property_mapping_exception') AND expires > now()
  AND created >= {since:DateTime('UTC')} AND created < {until:DateTime('UTC')}
GROUP BY tenant, app, action, message;

-- The first login of a person from each country and network, as far as the table
-- goes back; new ones are those that are not the person's first.
CREATE OR REPLACE VIEW sluice.first_logins /* ON CLUSTER */ SQL SECURITY INVOKER AS
SELECT tenant, username, geo_country AS country, asn, any(events.as_org) AS operator, min(created) AS first, count() AS logins,
       argMin(client_ip, created) AS client_ip, argMin(pk, created) AS pk,
       row_number() OVER (PARTITION BY tenant, username ORDER BY min(created)) > 1 AS is_new
FROM sluice.events
WHERE action = 'login' AND expires > now() AND created < {until:DateTime('UTC')}
GROUP BY tenant, username, country, asn
QUALIFY first >= {since:DateTime('UTC')};

-- Secrets that were viewed.
CREATE OR REPLACE VIEW sluice.secrets_viewed /* ON CLUSTER */ SQL SECURITY INVOKER AS
SELECT tenant, created, username, JSONExtractString(events.user, 'on_behalf_of', 'username') AS acted_as, client_ip,
       JSONExtractString(context, 'secret', 'model_name') AS kind, JSONExtractString(context, 'secret', 'name') AS secret, pk
FROM sluice.events
WHERE action = 'secret_view' AND expires > now()
  AND created >= {since:DateTime('UTC')} AND created < {until:DateTime('UTC')};

-- Events per action and hour, from the projection by_hour.
CREATE OR REPLACE VIEW sluice.events_by_hour /* ON CLUSTER */ SQL SECURITY INVOKER AS
SELECT tenant, action, toStartOfHour(created) AS hour, count() AS events
FROM sluice.events
GROUP BY tenant, action, hour;

-- What was masked, and where.
CREATE OR REPLACE VIEW sluice.redactions /* ON CLUSTER */ SQL SECURITY INVOKER AS
SELECT tenant, app, action, arrayJoin(redacted) AS pointer, count() AS times, min(created) AS first, max(created) AS last
FROM sluice.events
WHERE notEmpty(redacted) AND expires > now()
  AND created >= {since:DateTime('UTC')} AND created < {until:DateTime('UTC')}
GROUP BY tenant, app, action, pointer;
