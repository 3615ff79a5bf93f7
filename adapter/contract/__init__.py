"""The contract with upstream systems, generated from the models: AsyncAPI, JSON Schemas, a page for each service."""
