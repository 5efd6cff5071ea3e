// Package browser drives a real browser through the pages of a server that `bulkhead dev` has started: its tests log in, set
// up second factors, approve command lines and end sessions as people do, and fail on whatever the browser complains of.
package browser
