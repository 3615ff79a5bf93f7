"""The reference signing service: SIGN_SERVICE's contract (schemas/sign-service.openapi.yaml) with OpenSSL's engine.

For development and tests: it holds private keys in files and is no certified СКЗИ.
"""
