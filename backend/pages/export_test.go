package pages

// LocalPath is for tests.
var LocalPath = localPath
