"""Decoders that several tasks share."""
