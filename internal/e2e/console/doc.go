// Package console holds the tests that read the console in a real browser, as security teams and auditors do.
package console
