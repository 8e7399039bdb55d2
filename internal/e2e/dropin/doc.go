// Package dropin shows that usher's modules stand where Jitsi's stood: what Jitsi's other plugins hook, read and set goes
// on working, and what was open is closed. Each test is a row of docs/compatibility.md.
package dropin
