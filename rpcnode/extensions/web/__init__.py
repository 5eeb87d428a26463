"""What services say over HTTP: routes, requests, replies; the entry is `extensions.http`."""
