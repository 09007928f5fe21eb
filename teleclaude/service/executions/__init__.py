"""Executions from the request to the record: who may start what, its turn, its output, its one outcome."""
