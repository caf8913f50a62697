-- Who may read events, applied by `sink migrate -roles`; it may be run again. The user
-- that runs it needs access management (GRANT ... WITH GRANT OPTION).
--
-- sluice_analyst reads every tenant. Whoever shall see one tenant alone gets a role named
-- after it, for each tenant once:
--
--     CREATE ROLE IF NOT EXISTS sluice_tenant_acme;
--     GRANT sluice_tenant_analyst TO sluice_tenant_acme;
--     CREATE USER ann IDENTIFIED BY '...' DEFAULT ROLE sluice_tenant_acme;
--
-- sluice_tenant_analyst is what all these have in common: the right to read, and the
-- policy that shows the rows of the tenants alone whose roles are enabled. Without it the
-- right to read goes too. Whoever holds another role that may read sluice.events, and
-- enables that one instead, reads by that one.
CREATE ROLE IF NOT EXISTS sluice_analyst /* ON CLUSTER */ SETTINGS readonly = 2;
CREATE ROLE IF NOT EXISTS sluice_tenant_analyst /* ON CLUSTER */ SETTINGS readonly = 2;
GRANT /* ON CLUSTER */ SELECT ON sluice.events TO sluice_analyst, sluice_tenant_analyst;
GRANT /* ON CLUSTER */ SELECT ON sluice.failed_logins TO sluice_analyst, sluice_tenant_analyst;
GRANT /* ON CLUSTER */ SELECT ON sluice.brute_force TO sluice_analyst, sluice_tenant_analyst;
GRANT /* ON CLUSTER */ SELECT ON sluice.password_spraying TO sluice_analyst, sluice_tenant_analyst;
GRANT /* ON CLUSTER */ SELECT ON sluice.impersonations TO sluice_analyst, sluice_tenant_analyst;
GRANT /* ON CLUSTER */ SELECT ON sluice.application_usage TO sluice_analyst, sluice_tenant_analyst;
GRANT /* ON CLUSTER */ SELECT ON sluice.model_history TO sluice_analyst, sluice_tenant_analyst;
GRANT /* ON CLUSTER */ SELECT ON sluice.exceptions TO sluice_analyst, sluice_tenant_analyst;
GRANT /* ON CLUSTER */ SELECT ON sluice.first_logins TO sluice_analyst, sluice_tenant_analyst;
GRANT /* ON CLUSTER */ SELECT ON sluice.secrets_viewed TO sluice_analyst, sluice_tenant_analyst;
GRANT /* ON CLUSTER */ SELECT ON sluice.events_by_hour TO sluice_analyst, sluice_tenant_analyst;
GRANT /* ON CLUSTER */ SELECT ON sluice.redactions TO sluice_analyst, sluice_tenant_analyst;
CREATE ROW POLICY OR REPLACE sluice_tenant /* ON CLUSTER */ ON sluice.events FOR SELECT
    USING has(enabledRoles(), concat('sluice_tenant_', tenant)) AS PERMISSIVE TO sluice_tenant_analyst;
-- A table with a policy shows nothing to those whom none names: the sink, operators,
-- analysts of everything.
CREATE ROW POLICY OR REPLACE sluice_others /* ON CLUSTER */ ON sluice.events FOR SELECT
    USING 1 AS PERMISSIVE TO ALL EXCEPT sluice_tenant_analyst;
