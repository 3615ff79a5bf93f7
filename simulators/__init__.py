"""Gateways and the reference signing service as small real servers, for demo and tests only."""
