module sluice/redactor

go 1.26.0

require (
	sluice/internal v0.0.0
	sluice/schemas v0.0.0
)

replace (
	sluice/internal => ../internal
	sluice/schemas => ../schemas
)
