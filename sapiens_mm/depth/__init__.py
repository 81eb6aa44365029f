"""Relative depth of people."""
