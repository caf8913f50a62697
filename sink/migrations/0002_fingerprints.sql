-- +goose NO TRANSACTION
-- +goose Up

-- Keyed fingerprints of the tokens that were masked, where the redactor has a key:
-- has(fingerprints, 'k1:…') finds the events that carried the same token.
ALTER TABLE sluice.events
    ADD COLUMN IF NOT EXISTS fingerprints Array(String)
    COMMENT 'keyed fingerprints of the tokens that were masked' CODEC(ZSTD(1)) AFTER redacted;
