package remote

// Why says to people why a tunnel has ended, by what the record has of it.
func Why(ended string) string {
	if text, ok := endings[ended]; ok {
		return text
	}
	return ended
}

var endings = map[string]string{
	"user_left": "this end was lost", "device_left": "the device has gone", "idle": "nothing went through for a while", "expired": "its time is up",
	"not_joined": "the device did not come", "not_recorded": "it could not be put on record",
	endedByUser: "somebody closed it", endedByRevoke: "the right to it was taken, or the device was suspended", endedByLogin: "the login ended",
	"shutdown": "the server stopped", endedByRestart: "the server stopped", "withdrawn": "its request was withdrawn",
	"denied": "the approval was denied",
}
