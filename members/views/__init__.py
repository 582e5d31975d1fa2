"""The app's pages: each reads the request, calls one function of the domain, and renders."""
