package credential

// intelligence are the formats of AI services.
func intelligence() []Format {
	return []Format{
		{Name: "openai_api_key", Meaning: "an OpenAI API key", Source: "https://platform.openai.com/docs/api-reference/authentication", prefixes: []string{"sk-proj-", "sk-svcacct-", "sk-admin-", "sess-"}, alphabet: base64URL, min: 32},
		{Name: "openrouter_api_key", Meaning: "an OpenRouter API key", Source: "https://openrouter.ai/docs/api-reference/authentication", prefixes: []string{"sk-or-v1-"}, alphabet: hexDigits, min: 48},
		{Name: "anthropic_api_key", Meaning: "an Anthropic API key, admin key or OAuth token", Source: "https://docs.anthropic.com/en/api/overview", prefixes: []string{"sk-ant-"}, alphabet: base64URL, min: 40},
		{Name: "langfuse_secret_key", Meaning: "a Langfuse secret key", Source: "https://langfuse.com/docs", prefixes: []string{"sk-lf-"}, alphabet: uuidLike, min: 36},
		{Name: "sk_api_key", Meaning: "a key that begins with sk-, as OpenAI, DeepSeek, Stability and others give them", Source: "https://platform.openai.com/docs/api-reference/authentication", prefixes: []string{"sk-"}, alphabet: alnum, min: 20, mixed: true},
		{Name: "huggingface_token", Meaning: "a Hugging Face token", Source: "https://huggingface.co/docs/hub/security-tokens", prefixes: []string{"hf_", "api_org_"}, alphabet: alnum, min: 30, max: 38},
		{Name: "groq_api_key", Meaning: "a Groq API key", Source: "https://console.groq.com/docs/quickstart", prefixes: []string{"gsk_"}, alphabet: alnum, min: 40},
		{Name: "replicate_api_token", Meaning: "a Replicate API token", Source: "https://replicate.com/docs/topics/security/api-tokens", prefixes: []string{"r8_"}, alphabet: alnum, min: 32},
		{Name: "xai_api_key", Meaning: "an xAI API key", Source: "https://docs.x.ai/docs/overview", prefixes: []string{"xai-"}, alphabet: alnum, min: 40},
		{Name: "perplexity_api_key", Meaning: "a Perplexity API key", Source: gitleaks, prefixes: []string{"pplx-"}, alphabet: alnum, min: 40},
		{Name: "langsmith_api_key", Meaning: "a LangSmith API key", Source: "https://docs.smith.langchain.com", prefixes: []string{"lsv2_pt_", "lsv2_sk_"}, alphabet: word, min: 32},
		{Name: "pinecone_api_key", Meaning: "a Pinecone API key", Source: "https://docs.pinecone.io/guides/projects/manage-api-keys", prefixes: []string{"pcsk_"}, alphabet: word, min: 40},
		{Name: "nvidia_api_key", Meaning: "an NVIDIA API key", Source: "https://docs.nvidia.com/nim/", prefixes: []string{"nvapi-"}, alphabet: base64URL, min: 40},
		{Name: "tavily_api_key", Meaning: "a Tavily API key", Source: "https://docs.tavily.com", prefixes: []string{"tvly-"}, alphabet: base64URL, min: 24},
		{Name: "jina_api_key", Meaning: "a Jina API key", Source: "https://jina.ai/embeddings", prefixes: []string{"jina_"}, alphabet: alnum, min: 40},
		{Name: "cerebras_api_key", Meaning: "a Cerebras API key", Source: "https://inference-docs.cerebras.ai", prefixes: []string{"csk-"}, alphabet: alnum, min: 40},
		{Name: "together_api_key", Meaning: "a Together AI API key", Source: "https://docs.together.ai", prefixes: []string{"tgp_v1_"}, alphabet: base64URL, min: 32},
		{Name: "fireworks_api_key", Meaning: "a Fireworks AI API key", Source: "https://docs.fireworks.ai", prefixes: []string{"fw_"}, alphabet: alnum, min: 20, mixed: true},
		{Name: "firecrawl_api_key", Meaning: "a Firecrawl API key", Source: "https://docs.firecrawl.dev", prefixes: []string{"fc-"}, alphabet: hexDigits, min: 32, mixed: true},
		{Name: "e2b_api_key", Meaning: "an E2B API key", Source: "https://e2b.dev/docs", prefixes: []string{"e2b_"}, alphabet: hexDigits, min: 32},
		{Name: "runpod_api_key", Meaning: "a RunPod API key", Source: "https://docs.runpod.io/get-started/api-keys", prefixes: []string{"rpa_"}, alphabet: alnum, min: 40},
		{Name: "elevenlabs_api_key", Meaning: "an ElevenLabs API key", Source: "https://elevenlabs.io/docs/api-reference/authentication", prefixes: []string{"sk_"}, alphabet: hexDigits, min: 40},
		{Name: "posthog_personal_key", Meaning: "a PostHog personal API key", Source: "https://posthog.com/docs/api", prefixes: []string{"phx_", "phs_"}, alphabet: alnum, min: 32},
	}
}
