"""Runs and proves the app on one machine. Imports the app, is never imported by it, and is never deployed."""
