module sluice/bench

go 1.26.0

require (
	sluice/internal v0.0.0
	sluice/notifier v0.0.0
	sluice/producer v0.0.0
	sluice/redactor v0.0.0
	sluice/schemas v0.0.0
	sluice/sink v0.0.0
	sluice/standalone v0.0.0
)

replace (
	sluice/internal => ../internal
	sluice/notifier => ../notifier
	sluice/producer => ../producer
	sluice/redactor => ../redactor
	sluice/schemas => ../schemas
	sluice/sink => ../sink
	sluice/standalone => ../standalone
)
