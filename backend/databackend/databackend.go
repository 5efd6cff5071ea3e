// Package databackend is the life of one installation's data: its tables as the template declares them, the way of a row
// into them, and the way back by query.
//
// It promises that a row which was answered for is stored once, whatever crashes in between; that a row which is refused is
// refused with a reason, counted and listed; that who published a row is taken from the session and from nothing else; and
// that the trouble of one installation delays no other.
package databackend
