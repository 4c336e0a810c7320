"""Selling: the Paywall, its gates, and one adapter for each framework."""
