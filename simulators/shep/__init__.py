"""The ШЭП as a small real server: both channels, ШЭП and ВШЭП, and the parties around it (docs/simulator-shep.md)."""
