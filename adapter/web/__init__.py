"""What the adapter serves over HTTP: health, and the inbound side of gateways."""
