"""A credential that is renewed: what needs no server."""
