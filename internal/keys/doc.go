// Package keys knows where an issuer's verification keys come from: secrets, PEM files, key set files and URLs, ASAP
// key servers, and maps from kid to certificate. It finds the one key for a token, follows changes of files and URLs
// in the background, and goes on with the last good keys while a source is broken.
//
// The way of a key: material turns bytes into keys and refuses weak ones; fetch gets the bytes of a URL; a source in
// this package keeps the keys of one config entry; the Ring holds all keys of one issuer in a snapshot that Find reads.
package keys
