"""Intake, dispatch, calls, delivery and recovery. Knows no gateway and no service."""
