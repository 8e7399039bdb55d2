// Package prosodyconf reads Prosody's config, which is a Lua program, and turns the part that Jitsi's token modules read
// into usher's config.
//
// The program is evaluated in a sandbox: no library that touches the machine but the reading of files and environment
// variables that the config asks for by name, and bounds on steps, memory, time, text and files. Names that Prosody would
// not know are nil here as there.
package prosodyconf
