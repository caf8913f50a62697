package credential

// codeHosting are the formats of code hosting, package registries and builds.
func codeHosting() []Format {
	const (
		gitHub = "https://docs.github.com/authentication/keeping-your-account-and-data-secure/about-authentication-to-github"
		gitLab = "https://docs.gitlab.com/security/tokens/"
	)
	return []Format{
		{Name: "github_personal_access_token", Meaning: "a GitHub personal access token", Source: gitHub, prefixes: []string{"ghp_"}, alphabet: alnum, min: 30},
		{Name: "github_oauth_token", Meaning: "a GitHub OAuth access token", Source: gitHub, prefixes: []string{"gho_"}, alphabet: alnum, min: 30},
		{Name: "github_app_token", Meaning: "a GitHub user-to-server or server-to-server token", Source: gitHub, prefixes: []string{"ghu_", "ghs_"}, alphabet: word, min: 30},
		{Name: "github_refresh_token", Meaning: "a GitHub refresh token", Source: gitHub, prefixes: []string{"ghr_"}, alphabet: alnum, min: 30},
		{Name: "github_fine_grained_token", Meaning: "a GitHub fine-grained personal access token", Source: gitHub, prefixes: []string{"github_pat_"}, alphabet: word, min: 40},
		{Name: "gitlab_personal_access_token", Meaning: "a GitLab personal, project or group access token", Source: gitLab, prefixes: []string{"glpat-"}, alphabet: dotted, min: 20},
		{Name: "gitlab_deploy_token", Meaning: "a GitLab deploy token", Source: gitLab, prefixes: []string{"gldt-"}, alphabet: base64URL, min: 20},
		{Name: "gitlab_runner_token", Meaning: "a GitLab runner authentication or registration token", Source: gitLab, prefixes: []string{"glrt-", "glrtr-", "GR1348941"}, alphabet: dotted, min: 20},
		{Name: "gitlab_ci_job_token", Meaning: "a GitLab CI/CD job token", Source: gitLab, prefixes: []string{"glcbt-"}, alphabet: base64URL, min: 20},
		{Name: "gitlab_trigger_token", Meaning: "a GitLab pipeline trigger token", Source: gitLab, prefixes: []string{"glptt-"}, alphabet: base64URL, min: 20},
		{Name: "gitlab_feed_token", Meaning: "a GitLab feed token", Source: gitLab, prefixes: []string{"glft-"}, alphabet: base64URL, min: 20},
		{Name: "gitlab_mail_token", Meaning: "a GitLab incoming mail token", Source: gitLab, prefixes: []string{"glimt-"}, alphabet: base64URL, min: 20},
		{Name: "gitlab_agent_token", Meaning: "a GitLab agent for Kubernetes token", Source: gitLab, prefixes: []string{"glagent-"}, alphabet: base64URL, min: 40},
		{Name: "gitlab_scim_token", Meaning: "a GitLab SCIM token", Source: gitLab, prefixes: []string{"glsoat-"}, alphabet: base64URL, min: 20},
		{Name: "gitlab_oauth_secret", Meaning: "a GitLab OAuth application secret", Source: gitLab, prefixes: []string{"gloas-"}, alphabet: base64URL, min: 40},
		{Name: "gitlab_feature_flag_token", Meaning: "a GitLab feature flag client token", Source: gitLab, prefixes: []string{"glffct-"}, alphabet: base64URL, min: 20},
		{Name: "gitlab_workspace_token", Meaning: "a GitLab workspace token", Source: gitLab, prefixes: []string{"glwt-"}, alphabet: base64URL, min: 20},
		{Name: "bitbucket_app_password", Meaning: "a Bitbucket app password", Source: "https://support.atlassian.com/bitbucket-cloud/docs/app-passwords/", prefixes: []string{"ATBB"}, alphabet: alnum, min: 28, mixed: true},
		{Name: "atlassian_api_token", Meaning: "an Atlassian API token", Source: "https://id.atlassian.com/manage-profile/security/api-tokens", prefixes: []string{"ATATT3", "ATCTT3", "ATSTT3"}, alphabet: base64Any, min: 60},
		{Name: "npm_access_token", Meaning: "an npm access token", Source: "https://docs.npmjs.com/about-access-tokens", prefixes: []string{"npm_"}, alphabet: alnum, min: 36},
		{Name: "pypi_upload_token", Meaning: "a PyPI upload token", Source: "https://pypi.org/help/#apitoken", prefixes: []string{"pypi-AgE"}, alphabet: base64URL, min: 50},
		{Name: "rubygems_api_key", Meaning: "a RubyGems API key", Source: "https://guides.rubygems.org/api-key-scopes/", prefixes: []string{"rubygems_"}, alphabet: hexDigits, min: 40},
		{Name: "nuget_api_key", Meaning: "a NuGet API key", Source: "https://learn.microsoft.com/nuget/nuget-org/publish-a-package", prefixes: []string{"oy2"}, alphabet: lowerNum, min: 43, mixed: true, max: 43},
		{Name: "crates_io_token", Meaning: "a crates.io API token", Source: gitleaks, prefixes: []string{"cio"}, alphabet: alnum, min: 32, mixed: true, max: 32},
		{Name: "clojars_token", Meaning: "a Clojars deploy token", Source: gitleaks, prefixes: []string{"CLOJARS_"}, alphabet: lowerNum, min: 60},
		{Name: "packagist_token", Meaning: "a Packagist token", Source: "https://packagist.com/docs", prefixes: []string{"packagist_"}, alphabet: word, min: 40},
		{Name: "artifactory_api_key", Meaning: "an Artifactory API key", Source: gitleaks, prefixes: []string{"AKCp"}, alphabet: alnum, min: 60},
		{Name: "artifactory_reference_token", Meaning: "an Artifactory reference token", Source: gitleaks, prefixes: []string{"cmVmd"}, alphabet: alnum, min: 53, mixed: true},
		{Name: "docker_hub_token", Meaning: "a Docker Hub access token", Source: "https://docs.docker.com/security/for-developers/access-tokens/", prefixes: []string{"dckr_pat_", "dckr_oat_"}, alphabet: base64URL, min: 24},
		{Name: "circleci_token", Meaning: "a CircleCI personal or project token", Source: "https://circleci.com/docs/managing-api-tokens/", prefixes: []string{"CCIPAT_", "CCIPRJ_"}, alphabet: word, min: 40},
		{Name: "buildkite_token", Meaning: "a Buildkite API or agent token", Source: "https://buildkite.com/docs/apis/managing-api-tokens", prefixes: []string{"bkua_", "bkat_", "bkct_"}, alphabet: alnum, min: 32},
		{Name: "sonar_token", Meaning: "a SonarQube token", Source: "https://docs.sonarsource.com/sonarqube-server/user-guide/managing-tokens", prefixes: []string{"sqp_", "sqa_", "squ_"}, alphabet: alnum, min: 40},
		{Name: "snyk_token", Meaning: "a Snyk access token", Source: "https://docs.snyk.io/snyk-api/authentication-for-api", prefixes: []string{"snyk_uat.", "snyk_sat."}, alphabet: dotted, min: 30},
		{Name: "sourcegraph_token", Meaning: "a Sourcegraph access token", Source: "https://sourcegraph.com/docs/cli/how-tos/creating_an_access_token", prefixes: []string{"sgp_", "slk_"}, alphabet: word, min: 40},
		{Name: "octopus_api_key", Meaning: "an Octopus Deploy API key", Source: gitleaks, prefixes: []string{"API-"}, alphabet: upperNum, min: 25, mixed: true, max: 30},
		{Name: "netlify_token", Meaning: "a Netlify personal access token", Source: "https://docs.netlify.com/api/get-started/", prefixes: []string{"nfp_", "nfc_", "nfo_"}, alphabet: dottedAny, min: 36},
		{Name: "vercel_token", Meaning: "a Vercel token or blob store token", Source: "https://vercel.com/docs/storage/vercel-blob", prefixes: []string{"vercel_blob_rw_"}, alphabet: word, min: 20},
		{Name: "readme_api_key", Meaning: "a ReadMe API key", Source: gitleaks, prefixes: []string{"rdme_"}, alphabet: lowerNum, min: 60},
		{Name: "prefect_api_key", Meaning: "a Prefect API key", Source: gitleaks, prefixes: []string{"pnu_", "pnb_"}, alphabet: alnum, min: 36},
		{Name: "endor_token", Meaning: "an Endor Labs token", Source: gitleaks, prefixes: []string{"endr+"}, alphabet: base64URL, min: 16},
		{Name: "ionic_token", Meaning: "an Ionic token", Source: gitleaks, prefixes: []string{"ion_"}, alphabet: lowerNum, min: 42},
		{Name: "postman_api_key", Meaning: "a Postman API key", Source: "https://learning.postman.com/docs/developer/postman-api/authentication/", prefixes: []string{"PMAK-"}, alphabet: uuidLike, min: 50},
	}
}
