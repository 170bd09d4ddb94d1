"""How an export is made: formats, hops, routes, artifacts and the untouched reference."""
