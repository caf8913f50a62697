// Package authentik reads the events of an authentik installation that knows
// nothing of Sluice: from the logs of its containers, or from its event API.
//
// It owns what is peculiar to authentik and to whatever carries its logs: the
// frames of container runtimes, rotation, the place up to which files have been
// read, the paging of the API. It promises that the same log line gives the same
// event with the same id wherever it is read, that no line stops it or costs more
// memory than [MaxLineBytes] a file, and that neither a line nor the API's token
// is ever quoted. Publishing is for [sluice/producer/intake].
package authentik

// MaxLineBytes is the longest log line that is looked at, frame included: an
// event of 1 MiB of which every byte is escaped once more by a log driver, with
// as much again to spare. A longer one is skipped without being held.
const MaxLineBytes = 4 << 20

// The kinds of lines that are no event, as the count of skipped lines names them.
const (
	// SkipBlank is a line of nothing but space.
	SkipBlank = "blank"
	// SkipOther is a log line of authentik, or of something else, that reports no
	// event.
	SkipOther = "other_log_line"
	// SkipNotText is a line that is not UTF-8, or holds NUL.
	SkipNotText = "not_text"
	// SkipTorn is a line, or the rest of one, that speaks of an event but is not
	// whole. The event is lost in the log, not here.
	SkipTorn = "torn"
	// SkipTooLong is a line over MaxLineBytes.
	SkipTooLong = "too_long"
)
