package fetch

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Address takes the URL of a key source: https, file, or http to this machine. Plain http to another one only with
// allowHTTP, for whoever sits between can put in keys of their own.
func Address(raw string, allowHTTP bool) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("it cannot be read as a URL") // url's own error quotes it, and with it a password in it
	}
	switch {
	case u.Scheme == "file":
		return u, fileAddress(u)
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("a key source is fetched by https or from a file, not by %q", u.Scheme)
	case u.Hostname() == "":
		return nil, errors.New("the URL names no host")
	case u.Scheme == "http" && !allowHTTP && !loopback(u.Hostname()):
		return nil, fmt.Errorf("%s is fetched over plain http, where anybody between can swap the keys; "+
			"use https, or set allow_http: true on the issuer", Shown(u))
	}
	return u, nil
}

func fileAddress(u *url.URL) error {
	if u.Host != "" && u.Host != "localhost" {
		return errors.New("a file URL has three slashes: file:///etc/usher/keys.json")
	}
	if u.Path == "" {
		return errors.New("the file URL names no file")
	}
	return nil
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Shown is u as it may stand in messages: without user, password and query, which may hold credentials.
func Shown(u *url.URL) string {
	if u.Scheme == "file" {
		return "file://" + u.Path
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}
