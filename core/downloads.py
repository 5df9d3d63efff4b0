"""How files that people upload and scripts write leave the platform."""

# As data: nothing that somebody put here may act as a page of this site in somebody else's browser.
AS_DATA = {"Content-Security-Policy": "sandbox; default-src 'none'", "X-Content-Type-Options": "nosniff"}
