package db

// Meaning gives tests the text of a constraint.
func Meaning(constraint string) string { return meanings[constraint] }
