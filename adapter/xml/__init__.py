"""One hardened parser, the SMEV transform, XML signatures, schema validation and the model mapping."""
