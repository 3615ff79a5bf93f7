"""SIGN_SERVICE client and the GOST engine used for development and verification."""
