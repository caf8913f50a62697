package credential

// operations are the formats of monitoring, flags and identity.
func operations() []Format {
	return []Format{
		{Name: "grafana_api_key", Meaning: "a Grafana API key", Source: gitleaks, prefixes: []string{"eyJrIjoi"}, alphabet: base64Std, min: 60},
		{Name: "grafana_cloud_token", Meaning: "a Grafana Cloud access policy token", Source: "https://grafana.com/docs/grafana-cloud/account-management/authentication-and-permissions/access-policies/", prefixes: []string{"glc_"}, alphabet: base64Std, min: 32},
		{Name: "newrelic_key", Meaning: "a New Relic user, insights, ingest or browser key", Source: "https://docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys/", prefixes: []string{"NRAK-", "NRII-", "NRIQ-", "NRJS-", "NRRA-", "NRAA-"}, alphabet: base64URL, min: 19},
		{Name: "sentry_token", Meaning: "a Sentry organization or user auth token", Source: "https://docs.sentry.io/account/auth-tokens/", prefixes: []string{"sntrys_", "sntryu_", "sntrya_", "sntryi_"}, alphabet: base64Any, min: 40},
		{Name: "honeycomb_key", Meaning: "a Honeycomb key", Source: "https://docs.honeycomb.io/get-started/configure/environments/manage-api-keys/", prefixes: []string{"hcaik_", "hcaic_", "hcxik_", "hcamk_"}, alphabet: alnum, min: 32},
		{Name: "launchdarkly_key", Meaning: "a LaunchDarkly SDK or API key", Source: "https://launchdarkly.com/docs/home/account/api", prefixes: []string{"sdk-", "api-"}, alphabet: uuidLike, min: 36},
		{Name: "rootly_token", Meaning: "a Rootly API key", Source: "https://rootly.com/docs", prefixes: []string{"rootly_"}, alphabet: hexDigits, min: 60},
		{Name: "pagerduty_token", Meaning: "a PagerDuty token of the newer form", Source: "https://developer.pagerduty.com/docs/authentication", prefixes: []string{"pdus+_", "pdeu+_"}, alphabet: base64Any, min: 20},
		{Name: "dbt_cloud_token", Meaning: "a dbt Cloud token", Source: "https://docs.getdbt.com/docs/dbt-cloud-apis/authentication", prefixes: []string{"dbtc_", "dbtu_"}, alphabet: base64Any, min: 30},
		{Name: "planet_api_key", Meaning: "a Planet API key", Source: "https://developers.planet.com", prefixes: []string{"PLAK"}, alphabet: hexDigits, min: 32},
		{Name: "ubidots_token", Meaning: "an Ubidots token", Source: "https://docs.ubidots.com", prefixes: []string{"BBFF-", "BBUS-"}, alphabet: alnum, min: 30},
		{Name: "authress_key", Meaning: "an Authress service client key", Source: gitleaks, prefixes: []string{"ext_", "scauth_", "authress_"}, alphabet: dotted, min: 40},
		{Name: "ory_token", Meaning: "a secret of Ory, SuperTokens and others who write ory_ before it", Source: "https://www.ory.sh/docs/concepts/personal-access-token", prefixes: []string{"ory_pat_", "ory_at_", "ory_rt_", "ory_ac_", "ory_st_"}, alphabet: base64URL, min: 20},
		{Name: "keygen_token", Meaning: "a Keygen token", Source: "https://keygen.sh/docs/api/authentication/", prefixes: []string{"admin-", "prod-", "activ-", "user-"}, alphabet: hexDigits, min: 64},
		{Name: "temporal_api_key", Meaning: "a Temporal Cloud API key", Source: "https://docs.temporal.io/cloud/api-keys", prefixes: []string{"tmprl_"}, alphabet: base64Any, min: 40},
		{Name: "unkey_key", Meaning: "an Unkey root key", Source: "https://www.unkey.com/docs", prefixes: []string{"unkey_"}, alphabet: alnum, min: 20},
		{Name: "nightfall_key", Meaning: "a Nightfall API key", Source: "https://docs.nightfall.ai", prefixes: []string{"NF-"}, alphabet: alnum, min: 32},
		{Name: "statsig_key", Meaning: "a Statsig server secret", Source: "https://docs.statsig.com", prefixes: []string{"secret-"}, alphabet: alnum, min: 40, mixed: true},
	}
}
