package conform

import (
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// reason tells what is wrong in words of the schema's: the validator's own quote
// the value.
func reason(what jsonschema.ErrorKind) string {
	switch k := what.(type) {
	case *kind.Type:
		return "is of type " + k.Got + ", want " + strings.Join(k.Want, " or ")
	case *kind.Required:
		return "lacks " + strings.Join(k.Missing, ", ")
	case *kind.Pattern:
		return "does not match " + k.Want
	case *kind.Format:
		return "is no " + k.Want
	case *kind.Enum, *kind.Const:
		return "is none of the values allowed"
	default:
		return "departs by " + strings.Join(what.KeywordPath(), "/")
	}
}

// at is the value at that place.
func at(value any, location []string) any {
	for _, step := range location {
		switch container := value.(type) {
		case map[string]any:
			value = container[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(container) {
				return nil
			}
			value = container[i]
		default:
			return nil
		}
	}
	return value
}
