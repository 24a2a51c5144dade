package report

// Verdict is one bar and whether it was met.
type Verdict struct {
	Bar    string `json:"bar"`
	Figure string `json:"figure"`
	State  State  `json:"state"`
}

// State of a bar.
type State string

// The states.
const (
	Met         State = "met"
	Missed      State = "missed"
	NotMeasured State = "not measured"
)
