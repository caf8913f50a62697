// Package e2e holds the tests of the whole system: the real binaries as separate
// processes, a real broker and a real ClickHouse, driven from outside as a user
// drives them. It has no code of its own to import.
package e2e
