"""Trains on new deliveries, unattended, and proposes the result."""
