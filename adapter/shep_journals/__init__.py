"""The journals and documents that order № 104 asks of a participant of the ШЭП."""
