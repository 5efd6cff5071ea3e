package wire

// AgentPong answers FunctionPing.
type AgentPong struct {
	Time int64 `json:"tsp"` // the device's clock, epoch milliseconds
}

// AgentInfo answers FunctionInfo. In a data realm it speaks of that realm only: its app is not told of others.
type AgentInfo struct {
	Contract int    `json:"contract"` // Version
	Agent    string `json:"agent"`    // version of the program
	Name     string `json:"name"`
	Device   Key    `json:"device_key"`
	Serial   Serial `json:"serial"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	Started  int64  `json:"started"` // epoch milliseconds
	Boot     uint64 `json:"boot"`    // starts of the agent with this state folder
	// Realms are the data realms that the agent serves.
	Realms []AgentRealm `json:"realms"`
}

// AgentRealm is how an agent stands in one data realm.
type AgentRealm struct {
	Realm    string `json:"realm"`
	Joined   bool   `json:"joined"`
	Buffered int    `json:"buffered"` // rows that are not acknowledged yet
	Dropped  uint64 `json:"dropped"`  // rows given up for want of room or time, since the agent's start
	Refused  uint64 `json:"refused"`  // rows that the backend will never take, since the agent's start
}
