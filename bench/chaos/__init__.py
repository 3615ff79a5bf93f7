"""The fault suite's long versions, and the outsider's books that the short ones use too."""
