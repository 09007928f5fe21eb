"""The command line: a thin client of the daemon's HTTP interface, standard library only, so that it answers at once."""
