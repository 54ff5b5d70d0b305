package main

const (
	nobody    = "FFFF"
	everybody = "FFFF"
)

// Message is what travels, of any type. Fields that a type does not use are left out.
type Message struct {
	Src    string  `json:"src"`
	Dst    string  `json:"dst"`
	Leader string  `json:"leader"`
	Type   string  `json:"type"`
	MID    string  `json:"MID,omitempty"`
	Key    string  `json:"key,omitempty"`
	Value  *string `json:"value,omitempty"`

	Term    int  `json:"term,omitempty"`
	Success bool `json:"success,omitempty"`
	// Index and IndexTerm name an entry: the last one of a candidate, the one before those of an append, or how far a
	// follower agrees.
	Index     int     `json:"index,omitempty"`
	IndexTerm int     `json:"indexTerm,omitempty"`
	Entries   []Entry `json:"entries,omitempty"`
	Commit    int     `json:"commit,omitempty"`
	// Round counts how often a leader has asked a quorum.
	Round int `json:"round,omitempty"`
}

// Entry is one entry of the log. A leader begins its term with one that changes nothing.
type Entry struct {
	Term int      `json:"term"`
	Put  *Message `json:"put,omitempty"`
}
