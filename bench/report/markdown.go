package report

func Markdown(r *Results) string { return "" }
func Plot(r *Results) string { return "" }
